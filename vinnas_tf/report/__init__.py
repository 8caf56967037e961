"""The page: one file that shows what a run folder holds, or how several runs compare."""
