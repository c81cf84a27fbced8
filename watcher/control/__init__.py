"""Control of a training from inside its own process: the protocol's files, and the hook that obeys them."""
