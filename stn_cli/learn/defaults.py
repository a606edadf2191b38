"""What the training takes unless asked otherwise, where the help page can read it without the training."""

EPOCHS = 10  # with both networks about two minutes on two cores without AMX
