//! The library of perfsec.
