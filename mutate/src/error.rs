/// Mutants could not be derived from a file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The file has no definition of these functions or defaults, or its configuration leaves them
    /// out.
    #[error("{file} does not define {}", names.join(", "))]
    Undefined {
        /// As given.
        file: String,
        /// In the order in which they were asked for.
        names: Vec<String>,
    },
    /// The body of a function is not C as the parser knows it.
    #[error("{file}: cannot parse {function}()")]
    Unparsable {
        /// As given.
        file: String,
        /// As given.
        function: String,
    },
}
