"""The numbers that trainers log: loss, learning rate and what else there is, as it comes."""
