//! The code that is mutated, `cases/mutants.toml`, and the cells that run first on its mutants.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::coverage::{Point, Points};
use crate::foreign;
use crate::plan::{CellNames, NotAGlob};

/// The area of decision points that no area names. All cells run on their mutants.
const REST: &str = "other decision points";

/// The code that is mutated, by area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The areas, in the order in which they are tried.
    pub areas: Vec<Area>,
}

/// Code that decides about one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Its name.
    pub name: String,
    /// Globs of the cells that run first. If there are none, all cells do.
    pub cells: Vec<String>,
    /// Words: only changes of text with one of them are tried. If there are none, all are.
    pub only: Vec<String>,
    /// Words: changes of text with one of them are not tried.
    pub except: Vec<String>,
    /// Its code.
    pub code: Vec<Code>,
}

/// Code in one file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Path of the file in the tree.
    pub file: String,
    /// Functions whose bodies are mutated.
    #[serde(default)]
    pub functions: Vec<String>,
    /// Variables, macros and table entries of the file whose values are mutated.
    #[serde(default)]
    pub defaults: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    #[serde(rename = "area")]
    areas: Vec<AreaTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaTable {
    name: String,
    cells: Vec<String>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    points: Vec<String>,
    #[serde(default)]
    code: Vec<Code>,
}

/// An error in the list of code.
#[derive(Debug, thiserror::Error)]
#[error("read the code to mutate in {}", .file.display())]
pub struct ScopeError {
    file: PathBuf,
    source: ScopeMistake,
}

/// A mistake in the list of code.
#[derive(Debug, thiserror::Error)]
enum ScopeMistake {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is not TOML of this form.
    #[error(transparent)]
    Parse(#[from] toml::de::Error),
    /// An area names a point that does not exist.
    #[error("area `{area}`: no decision point is called `{point}`")]
    Unknown { area: String, point: String },
    /// An area names a point that no guest reaches.
    #[error("area `{area}`: no guest reaches the decision point `{point}`")]
    Unreachable { area: String, point: String },
    /// Two areas have the same name, point or code.
    #[error("area `{area}`: `{what}` is listed twice")]
    Twice { area: String, what: String },
    /// A name of cells is not a glob.
    #[error("area `{area}`")]
    Cells { area: String, source: NotAGlob },
}

impl Scope {
    /// The built-in list.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which a test of the project rules out.
    pub fn built_in(points: &Points) -> Result<Self, ScopeError> {
        Self::parse(Path::new("cases/mutants.toml"), perfsec_cases::mutants(), points)
    }

    /// The list in a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or has a mistake.
    pub fn read(path: &Path, points: &Points) -> Result<Self, ScopeError> {
        let text = foreign::read_text(path, &foreign::MUTANTS);
        let text =
            text.map_err(|source| ScopeError { file: path.to_owned(), source: source.into() });
        Self::parse(path, &text?, points)
    }

    fn parse(path: &Path, text: &str, points: &Points) -> Result<Self, ScopeError> {
        let scope = toml::from_str(text).map_err(ScopeMistake::from);
        let scope = scope.and_then(|file: ScopeFile| Self::of(file, points));
        scope.map_err(|source| ScopeError { file: path.to_owned(), source })
    }

    fn of(file: ScopeFile, points: &Points) -> Result<Self, ScopeMistake> {
        let mut seen = BTreeSet::new();
        let mut areas = Vec::new();
        for table in file.areas {
            let area = || table.name.clone();
            CellNames::parse(&table.cells)
                .map_err(|source| ScopeMistake::Cells { area: area(), source })?;
            let mut once = |what: String| match seen.insert(what.clone()) {
                true => Ok(()),
                false => Err(ScopeMistake::Twice { area: area(), what }),
            };
            once(table.name.clone())?;
            let mut code = Vec::new();
            for name in &table.points {
                once(format!("point {name}"))?;
                let point = points.all.iter().find(|point| point.name == *name);
                let unknown = || ScopeMistake::Unknown { area: area(), point: name.clone() };
                let point = point.ok_or_else(unknown)?;
                if point.unreachable.is_some() {
                    return Err(ScopeMistake::Unreachable { area: area(), point: name.clone() });
                }
                code.push(Code::of(point));
            }
            code.extend(table.code);
            for part in &code {
                for name in part.functions.iter().chain(&part.defaults) {
                    once(format!("{}: {name}", part.file))?;
                }
            }
            let AreaTable { name, cells, only, except, .. } = table;
            areas.push(Area { name, cells, only, except, code });
        }
        let rest = points.all.iter().filter(|point| point.unreachable.is_none());
        let rest = rest.filter(|point| !seen.contains(&format!("point {}", point.name)));
        let code: Vec<Code> = rest.map(Code::of).collect();
        if !code.is_empty() {
            areas.push(Area { name: REST.to_owned(), code, ..Area::default() });
        }
        Ok(Self { areas })
    }
}

impl Code {
    fn of(point: &Point) -> Self {
        let (file, functions) = (point.file.clone(), point.functions.clone());
        Self { file, functions, defaults: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::Library;
    use crate::causes::with_causes;

    fn parse(text: &str) -> Result<Scope, ScopeError> {
        Scope::parse(Path::new("scope.toml"), text, &Points::built_in().unwrap())
    }

    const AREA: &str = "[[area]]\nname = \"read\"\ncells = [\"event/read\"]\n";

    #[test]
    fn an_area_has_the_functions_of_its_points_and_its_own() {
        let code = "points = [\"perf_read\"]\n[[area.code]]\nfile = \"a.c\"\nfunctions = [\"f\"]\n";
        let scope = parse(&format!("{AREA}{code}")).unwrap();
        let code = &scope.areas[0].code;
        assert_eq!((code[0].file.as_str(), code[0].functions[0].as_str()), PERF_READ);
        assert_eq!((code[1].file.as_str(), code[1].functions[0].as_str()), ("a.c", "f"));
    }

    const PERF_READ: (&str, &str) = ("kernel/events/core.c", "perf_read");

    #[test]
    fn points_that_no_area_names_are_in_an_area_of_their_own() {
        let scope = parse(AREA).unwrap();
        let rest = scope.areas.last().unwrap();
        assert_eq!((rest.name.as_str(), rest.cells.len()), (REST, 0));
        let has = |name: &str| rest.code.iter().any(|code| code.functions[0] == name);
        assert!(has("perf_read") && !has("bts_event_init"));
    }

    #[rstest]
    #[case("points = [\"perf_reed\"]", "no decision point is called `perf_reed`")]
    #[case("points = [\"bts_event_init\"]", "no guest reaches the decision point")]
    #[case("points = [\"perf_read\", \"perf_read\"]", "`point perf_read` is listed twice")]
    #[case("[[area]]\nname = \"read\"\ncells = []", "`read` is listed twice")]
    #[case("functions = []", "unknown field `functions`")]
    #[case("[[area]]\nname = \"x\"\ncells = [\"[\"]", "area `x`")]
    fn a_mistake_is_named(#[case] more: &str, #[case] named: &str) {
        let error = parse(&format!("{AREA}{more}\n")).unwrap_err();
        let error = with_causes(&error);
        assert!(error.contains("scope.toml") && error.contains(named), "{error}");
    }

    #[test]
    fn the_built_in_scope_names_every_reachable_point_and_cells_that_exist() {
        let scope = Scope::built_in(&Points::built_in().unwrap()).unwrap();
        assert!(scope.areas.iter().all(|area| area.name != REST), "a point has no area");
        let library = Library::built_in().unwrap();
        for area in &scope.areas {
            assert!(!area.cells.is_empty(), "{}", area.name);
            for name in &area.cells {
                let names = CellNames::parse(std::slice::from_ref(name)).unwrap();
                let any = library.cases.iter().any(|case| {
                    case.axes.coordinates().any(|at| names.contains(&case.cell_name(&at)))
                });
                assert!(any, "{}: no cell is called {name}", area.name);
            }
        }
    }
}
