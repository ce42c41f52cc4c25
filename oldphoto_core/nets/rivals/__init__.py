"""Networks to compare with the triplet."""
