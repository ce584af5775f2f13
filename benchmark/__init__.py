"""What colorizing costs: against its own floor, and against what people would write instead."""
