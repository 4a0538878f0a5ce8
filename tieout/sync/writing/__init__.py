"""What came of writes: settled where no answer came, read back, agreed; typed over at the other side."""
