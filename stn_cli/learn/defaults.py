"""What the training takes unless asked otherwise, where the help page can read it without the training."""

EPOCHS = 9  # with both networks about two minutes on two cores
