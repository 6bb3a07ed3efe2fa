//! Both engines, for laws that hold over each.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// What views are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Memory,
    Disk,
}

/// A folder of views that is removed with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: ViewFolder,
    _parent: Option<TempDir>,
}

impl Engine {
    /// An empty place.
    pub(super) fn place(self) -> Place {
        match self {
            Self::Memory => Place {
                folder: ViewFolder::Memory(Arc::<MemoryViewStore>::default()),
                _parent: None,
            },
            Self::Disk => {
                let parent = tempfile::tempdir().unwrap();
                let views = parent.path().join("views");
                Place {
                    folder: ViewFolder::disk(&views, OPTIONS.cache_bytes),
                    _parent: Some(parent),
                }
            }
        }
    }
}

/// Either of them: the one on disk, which takes long to open, in one case of eight.
pub(super) fn engine() -> impl Strategy<Value = Engine> {
    prop_oneof![7 => Just(Engine::Memory), 1 => Just(Engine::Disk)]
}
