"""A small world that runs anywhere: captioned pictures, a real little CLIP, a real little trainer."""
