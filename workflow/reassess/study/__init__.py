"""What a person writes: a study, read and checked without anything heavy."""
