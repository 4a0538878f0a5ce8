"""What the state database keeps of both systems, of what was agreed and of what people told: read and written."""
