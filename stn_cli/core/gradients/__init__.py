"""Are the gradients right? Three independent ways held against each other: the checks behind `stn gradcheck`.

`differences` the numerical derivative, its error and its kinks; `slope` the Taylor remainder; `check` one problem and its
verdict; `stages` the spatial transformer cut into problems; `hand` the rows of `core.backprop`; `outside` a user's own
function; `explain` one output pixel in numbers.
"""
