//! The sources as the rules see them: their names and words, without comments and string contents.
//!
//! A rule that looked at raw text would stumble over documentation that merely
//! speaks of what it forbids. So every file is cut into tokens first; a rule
//! is then a sequence of tokens, and neither spacing nor line breaks hide it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the workspace that hold Rust sources.
pub(crate) const CRATES: [&str; 5] = ["domain", "eventstore", "projections", "api", "tests"];

/// One word, number or sign of a source file. A string literal is the single token `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One Rust file: its path below the workspace's root (with `/`), its text, its tokens.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

impl Source {
    /// Reads `text` as the Rust file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: tokens(text),
        }
    }

    /// The line of every place where the tokens of `pattern` stand in a row.
    pub(crate) fn lines_with(&self, pattern: &str) -> Vec<usize> {
        lines_with(&self.tokens, pattern)
    }

    /// The line of every mention of the module `parent::child`, be it spelled
    /// as a path or inside a group, as in `use std::{fs, io};`.
    pub(crate) fn lines_naming(&self, parent: &str, child: &str) -> Vec<usize> {
        let mut lines = self.lines_with(&format!("{parent}::{child}"));
        for (at, _) in self.tokens.windows(3).enumerate().filter(|(_, three)| {
            three
                .iter()
                .map(|token| token.text.as_str())
                .eq([parent, "::", "{"])
        }) {
            lines.extend(group_members(self.tokens.iter().skip(at + 3), child));
        }
        lines
    }

    /// The tokens that belong to tests: the whole file where its path says so,
    /// otherwise what follows the first `#[cfg(test)]`.
    pub(crate) fn test_tokens(&self) -> &[Token] {
        let whole = self.path.starts_with("tests/")
            || self.path.ends_with("tests.rs")
            || self.path.contains("/tests/");
        if whole {
            return &self.tokens;
        }
        let attribute = tokens("#[cfg(test)]");
        let start = self
            .tokens
            .windows(attribute.len())
            .position(|row| same(row, &attribute));
        start
            .and_then(|start| self.tokens.get(start..))
            .unwrap_or_default()
    }
}

/// The line of every place in `within` where the tokens of `pattern` stand in a row.
pub(crate) fn lines_with(within: &[Token], pattern: &str) -> Vec<usize> {
    let pattern = tokens(pattern);
    within
        .windows(pattern.len())
        .filter(|row| same(row, &pattern))
        .filter_map(|row| row.first().map(|token| token.line))
        .collect()
}

fn same(row: &[Token], pattern: &[Token]) -> bool {
    row.iter()
        .map(|token| &token.text)
        .eq(pattern.iter().map(|token| &token.text))
}

/// The lines where `child` is a direct member of the group whose tokens follow.
fn group_members<'a>(after_brace: impl Iterator<Item = &'a Token>, child: &str) -> Vec<usize> {
    let (mut depth, mut begins, mut lines) = (1_u32, true, Vec::new());
    for token in after_brace {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            text if depth == 1 && begins && text == child => lines.push(token.line),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        begins = token.text == ",";
    }
    lines
}

/// Something the architecture forbids: where it is, and why it must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Violation {
    pub(crate) fn new(path: &str, line: usize, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.reason)
    }
}

/// The root of the workspace these tests were built from.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests' folder lies in the workspace")
        .to_owned()
}

/// Every Rust file of the workspace, in the order of their paths.
pub(crate) fn workspace() -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for name in CRATES {
        collect(&root.join(name), &mut paths);
    }
    paths.sort();
    let sources: Vec<_> = paths
        .iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("collected below the root");
            Source::new(&relative.to_string_lossy().replace('\\', "/"), &read(path))
        })
        .collect();
    assert!(
        sources.len() > CRATES.len(),
        "found only {} sources: is the root right?",
        sources.len()
    );
    sources
}

/// The text of the file at `path`, which must be there.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry
            .expect("a folder of the checkout can be listed")
            .path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            // What a build or a package manager leaves behind is not a source.
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Cuts Rust source text into tokens; comments vanish, string literals become `""`.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: text,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Consumes one token, comment or blank; false at the end of the text.
    fn step(&mut self) -> bool {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else {
            return false;
        };
        let second = chars.next();
        let third = chars.next();
        if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(block_comment(self.rest));
        } else if let Some(length) = raw_string(self.rest) {
            self.take("\"\"", length);
        } else if first == '"' {
            self.take("\"\"", quoted(self.rest, '"'));
        } else if first == '\'' && (second == Some('\\') || third == Some('\'')) {
            self.take("''", quoted(self.rest, '\''));
        } else if first == '_' || first.is_alphanumeric() {
            let end = |c: char| c != '_' && !c.is_alphanumeric();
            self.take_text(self.rest.find(end).unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("::") {
            self.take_text(2);
        } else {
            self.take_text(first.len_utf8());
        }
        true
    }

    fn take_text(&mut self, length: usize) {
        let (text, _) = self.rest.split_at(length);
        self.take(text.to_owned(), length);
    }

    fn take(&mut self, text: impl Into<String>, length: usize) {
        self.tokens.push(Token {
            text: text.into(),
            line: self.line,
        });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of the block comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut length) = (0_u32, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            first.len_utf8()
        };
        length += step;
        rest = rest.split_at(step).1;
        if depth == 0 {
            break;
        }
    }
    length
}

/// The length of the raw string literal that `text` begins with, if it does.
fn raw_string(text: &str) -> Option<usize> {
    let prefixes = ["br", "cr", "r"];
    let rest = prefixes
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))?;
    let body = rest.trim_start_matches('#');
    let hashes = rest.len() - body.len();
    let body = body.strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = body
        .find(&closing)
        .map_or(body.len(), |end| end + closing.len());
    Some(text.len() - body.len() + end)
}

/// The length of the literal that `text` begins with, up to its closing `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_string_contents_are_no_tokens() {
        let text = "a // sled\n/* sled /* sled */ sled */ \"sled \\\" sled\" r#\"sled \" sled\"# br\"sled\" b";
        assert_eq!(texts(text), ["a", "\"\"", "\"\"", "\"\"", "b"]);
    }

    #[test]
    fn a_lifetime_is_not_the_beginning_of_a_character() {
        assert_eq!(
            texts("&'a str, '\\'', '\"', x"),
            ["&", "'", "a", "str", ",", "''", ",", "''", ",", "x"]
        );
    }

    #[test]
    fn a_token_knows_its_line_behind_comments_and_strings_of_several_lines() {
        let all = tokens("/* one\ntwo */ \"three\nfour\"\nfive");
        assert_eq!(
            all.last(),
            Some(&Token {
                text: "five".into(),
                line: 4
            })
        );
    }

    #[test]
    fn neither_spaces_nor_line_breaks_hide_a_pattern() {
        let source = Source::new("x.rs", "let t = Instant\n    :: now ();");
        assert_eq!(source.lines_with("Instant::now"), [1]);
    }

    #[test]
    fn a_module_is_found_inside_a_group_but_not_deeper() {
        let source = Source::new(
            "x.rs",
            "use std::{\n    collections::{BTreeMap, fs},\n    fs,\n    io::Write,\n};",
        );
        assert_eq!(source.lines_naming("std", "fs"), [3]);
        assert_eq!(source.lines_naming("std", "io"), [4]);
        assert_eq!(source.lines_naming("std", "net"), [0; 0]);
    }

    #[test]
    fn the_tests_of_a_file_begin_at_their_attribute() {
        let source = Source::new(
            "domain/src/x.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { b }",
        );
        assert_eq!(lines_with(source.test_tokens(), "a"), [0; 0]);
        assert_eq!(lines_with(source.test_tokens(), "b"), [3]);
        assert_eq!(
            lines_with(Source::new("domain/src/x/tests.rs", "c").test_tokens(), "c"),
            [1]
        );
    }
}
