"""Images in, images out. The way of an image, file by file of this room:

    plan.py      inputs → jobs: which files, under which names, and every reason not to begin
    walk.py        the images in a folder
    formats.py     what each format can hold
    pipeline.py  jobs → results: interruption, failures, the manifest at the end
    crew.py        the worker threads, one picture each
    processes.py   worker processes, where pictures are many
    codecs/        path → `Picture` → open file, the best library for each format
    picture.py     `Picture`, `Frame`, `Metadata`: pixels and what must survive a warp
    exif.py        orientation, patched in place
    room.py        bounded memory
    atomic.py      a temporary name, then the final one
    remote.py      files behind URLs; remote_manifest.py writes their manifest
    manifest.py    what was made, and how to make it again

A command does three things:

    plan = make_plan(inputs, out, format="png", existing="skip")      # OptionError before anything is touched
    results = run(plan, warp, workers=4, quality=90)                  # warp(picture, job) → (picture, manifest fields)
    results.done, results.skipped, results.failed, results.notes

and `warp` goes through `picture.frames`: `frame.pixels` (H, W, C) and `frame.alpha` are what an engine takes,
`frame.with_pixels(...)` and `picture.with_frames(...)` what it returns.
"""
