//! Kernels from source.

pub mod kconfig;
