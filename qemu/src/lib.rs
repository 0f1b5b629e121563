//! Starts virtual machines and notices their death.
