"""The referee of ksearch: one evaluation request in, one verdict out (docs: packages/evaluator/README.md)."""

__version__ = "0.2.0"
