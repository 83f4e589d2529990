"""One file per training task: its data, its model, its loss and its evaluation."""
