"""What the training takes unless asked otherwise, where the help page can read it without the training."""

EPOCHS = 12  # with both networks within two minutes on two cores with AMX
