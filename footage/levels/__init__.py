"""The levels of the objective: each is one head, one loss and one weight, in one file.

    frame_shot.py   views of a frame, or frames of a shot, are alike; or which way is up
    video.py        a video's shots foretell each other, and have an order
    supervised.py   labelled images have classes

A level of weight 0 is off: it is not built, has no parameters and computes nothing.
"""
