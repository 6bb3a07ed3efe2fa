//! The file system on the machine's disk: names and files, each with what is
//! durable of it apart from what was only done.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Survivors;
use super::content::Content;
use crate::tests::dice::Dice;

/// What a name stands for, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder(usize),
    File(usize),
}

/// One change of names; `None` takes a name away. A rename is two, all or nothing.
type Change = Vec<(String, Option<Node>)>;

#[derive(Clone, Debug, Default)]
struct Folder {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// Since the folder was last synced, in order.
    changes: Vec<Change>,
}

fn apply(change: &Change, names: &mut BTreeMap<String, Node>) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

impl Folder {
    fn change(&mut self, change: Change) {
        apply(&change, &mut self.now);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            apply(&change, &mut self.durable);
        }
    }

    fn after_power_cut(&self, survivors: Survivors, number: u64) -> BTreeMap<String, Node> {
        let mut names = self.durable.clone();
        let mut survive: Box<dyn FnMut(usize) -> bool> = match survivors {
            Survivors::Nothing => Box::new(|_| false),
            Survivors::Everything => Box::new(|_| true),
            Survivors::Some(seed) => {
                let mut dice = Dice::new(seed ^ number.wrapping_mul(0x9e37_79b1));
                if dice.once_in(2) {
                    let kept = dice.below(self.changes.len() + 1);
                    Box::new(move |at| at < kept)
                } else {
                    Box::new(move |_| dice.once_in(2))
                }
            }
        };
        for (at, change) in self.changes.iter().enumerate() {
            if survive(at) {
                apply(change, &mut names);
            }
        }
        names
    }
}

/// Names and files. The root is always there.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    folders: Vec<Folder>,
    files: Vec<Content>,
}

const ROOT: usize = 0;

fn no_such_name() -> io::Error {
    ErrorKind::NotFound.into()
}

/// The folder and the name in it.
fn split(path: &Path) -> (&Path, String) {
    let name = path.file_name().unwrap().to_str().unwrap();
    (path.parent().unwrap(), name.to_owned())
}

impl Medium {
    pub(super) fn empty() -> Self {
        Self {
            folders: vec![Folder::default()],
            files: Vec::new(),
        }
    }

    fn node(&self, path: &Path) -> Option<Node> {
        let Some(parent) = path.parent() else {
            return Some(Node::Folder(ROOT));
        };
        let names = &self.folders[self.folder_number(parent).ok()?].now;
        names.get(&split(path).1).copied()
    }

    fn folder_number(&self, path: &Path) -> io::Result<usize> {
        match self.node(path) {
            Some(Node::Folder(number)) => Ok(number),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(no_such_name()),
        }
    }

    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        let number = self.folder_number(path)?;
        Ok(&mut self.folders[number])
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.node(path).is_some()
    }

    pub(super) fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = &self.folders[self.folder_number(folder)?];
        Ok(folder.now.keys().cloned().collect())
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        if self.exists(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (parent, name) = split(path);
        let node = Node::Folder(self.folders.len());
        self.folder(parent)?.change(vec![(name, Some(node))]);
        self.folders.push(Folder::default());
        Ok(())
    }

    /// The file's number.
    pub(super) fn open(&self, path: &Path) -> io::Result<usize> {
        match self.node(path) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Folder(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(no_such_name()),
        }
    }

    /// The number of a file that is now empty.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        if let Ok(number) = self.open(path) {
            self.files[number].set_len(0);
            return Ok(number);
        }
        let number = self.files.len();
        let (parent, name) = split(path);
        let node = Some(Node::File(number));
        self.folder(parent)?.change(vec![(name, node)]);
        self.files.push(Content::default());
        Ok(number)
    }

    /// Within one folder. A folder may take the place of an empty one.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from).ok_or_else(no_such_name)?;
        let path_there = to;
        let ((folder, from), (other, to)) = (split(from), split(to));
        assert_eq!(folder, other, "only renaming within a folder is simulated");
        if let (Node::Folder(_), Ok(number)) = (node, self.folder_number(path_there)) {
            assert!(self.folders[number].now.is_empty(), "a folder is in use");
        }
        let change = vec![(from, None), (to, Some(node))];
        self.folder(folder)?.change(change);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.open(path)?;
        let (folder, name) = split(path);
        self.folder(folder)?.change(vec![(name, None)]);
        Ok(())
    }

    pub(super) fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.folder(path)?.sync();
        Ok(())
    }

    pub(super) fn file(&mut self, number: usize) -> &mut Content {
        &mut self.files[number]
    }

    /// The disk once the power is back: what survived, and nothing pending.
    pub(super) fn after_power_cut(&self, survivors: Survivors) -> Self {
        let contents = self.files.iter().zip(0..);
        let files = contents
            .map(|(file, number)| Content::of(file.after_power_cut(survivors, number)))
            .collect();
        let folders = self.folders.iter().zip(0..);
        let folders = folders
            .map(|(folder, number)| {
                let names = folder.after_power_cut(survivors, number);
                Folder {
                    now: names.clone(),
                    durable: names,
                    changes: Vec::new(),
                }
            })
            .collect();
        // What has no name any more is still numbered, and never found again.
        Self { folders, files }
    }

    /// Every file below a folder.
    pub(super) fn paths(&self, below: &Path) -> Vec<PathBuf> {
        let Ok(number) = self.folder_number(below) else {
            return Vec::new();
        };
        let names = self.folders[number].now.iter();
        names
            .flat_map(|(name, node)| {
                let path = below.join(name);
                match node {
                    Node::Folder(_) => self.paths(&path),
                    Node::File(_) => vec![path],
                }
            })
            .collect()
    }
}
