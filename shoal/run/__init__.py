"""The coordinator: deploy a plan, drive its workers, watch them, and say what happened."""
