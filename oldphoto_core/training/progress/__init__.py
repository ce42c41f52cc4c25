"""How a training goes: its curve, its speed, and when it stops early."""
