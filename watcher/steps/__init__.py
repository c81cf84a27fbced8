"""What carries things from room to room: each step asks a room and writes the answer into the store.

Rooms know nothing of the store and of each other. A step takes what the store says is to be done, so that a
daemon that was killed anywhere goes on where it was.
"""
