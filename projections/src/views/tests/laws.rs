//! What holds for any log, and however it is cut into runs.

use std::fs;

use proptest::prelude::*;

use super::engines::engine;
use super::*;
use crate::any_log::{Happening, Service, happenings};
use crate::audit::Audits;
use crate::key::KeyRange;
use crate::projection::{Facts, Sources};
use crate::test_log::{delivery, user};
use crate::view_store::{Batch, Direction, Entry};

/// All entries of all views.
fn dump(set: &ViewSet) -> Vec<Vec<Entry>> {
    let views = set.views().into_iter();
    views
        .map(|view| {
            view.tree()
                .scan(&KeyRange::all(), Direction::Forward, usize::MAX)
                .unwrap()
        })
        .collect()
}

/// Copies the files of views that are in use, as a crash would leave them.
fn crash_copy(from: &Path, to: &Path) {
    let store = from.join("store-1");
    fs::create_dir_all(to.join("store-1")).unwrap();
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join("store-1").join(path.file_name().unwrap())).unwrap();
        }
    }
}

proptest! {
    /// Law: however the log is cut into runs, the views are those of one fold.
    #[test]
    fn any_cut_into_pages_gives_the_same_bytes(
        happenings in happenings(120),
        cuts in prop::collection::vec(0..120_usize, 0..6),
        engine in engine(),
    ) {
        let (mut service, mut place) = (Service::new(), engine.place());
        let set = service.log.opened(&mut place.folder);
        for (number, happening) in happenings.iter().enumerate() {
            service.happen(happening);
            if cuts.contains(&number) {
                service.log.feed(&set);
            }
        }
        service.log.feed(&set);
        prop_assert_eq!(dump(&set), dump(&service.log.folded()));
    }

    /// Law: the auditor finds nothing wrong in views that are right, and in every
    /// view that it looks at each entry that is wrong, wherever it begins.
    #[test]
    fn an_audit_finds_what_is_wrong_and_nothing_else(
        happenings in happenings(60),
        wrong in any::<prop::sample::Index>(),
        place in any::<u64>(),
    ) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        while !set.is_checked() {
            set.check_on(1_000).unwrap();
        }
        let audits = Audits::default();
        audits.begin_at(place);
        let audit_all = || -> Vec<&'static str> {
            let turns = 0..service.log.head().get();
            turns.flat_map(|_| audits.audit_next(&set, &*service.log.store).unwrap()).collect()
        };
        prop_assert_eq!(audit_all(), [] as [&str; 0]);

        let is_audited = |view: &Arc<View>| view.projection().sources() != Sources::Log;
        let audited: Vec<_> = set.views().into_iter().filter(is_audited).collect();
        prop_assert_eq!(audited.len(), PROJECTIONS.len() - 2);
        for view in audited {
            let entries = view.tree().scan(&KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
            if entries.is_empty() {
                continue;
            }
            let (key, value) = &entries[wrong.index(entries.len())];
            let checkpoint = view.tree().checkpoint().unwrap().unwrap();
            let say = |value: &[u8]| {
                let writes = vec![(key.clone(), Some(value.to_vec()))];
                view.tree().apply(&Batch { writes, checkpoint }).unwrap();
            };
            say(&[0xAB]);
            prop_assert!(audit_all().contains(&view.name()), "{} {key:?}", view.name());
            prop_assert!(audits.drifted(view.name()) > 0);
            say(value);
        }
        prop_assert_eq!(audit_all(), [] as [&str; 0]);
    }

    /// Law: views that were far behind are those of one fold, also if the
    /// process is killed in the middle again and again.
    #[test]
    fn what_is_gathered_from_afar_gives_the_same_bytes(
        happenings in happenings(200),
        steps in prop::collection::vec(1..12_usize, 0..8),
        engine in engine(),
    ) {
        let (service, mut place) = (Service::after(&happenings), engine.place());
        for steps in steps {
            let set = service.log.opened(&mut place.folder);
            for _ in 0..steps {
                set.feed_from_afar(&*service.log.store, service.log.head()).unwrap();
            }
        }
        let set = service.log.opened(&mut place.folder);
        while set.feed_from_afar(&*service.log.store, service.log.head()).unwrap() {}
        while !set.is_checked() {
            set.check_on(1_000).unwrap();
        }
        prop_assert_eq!(dump(&set), dump(&service.log.folded()));
    }

    /// Law: a check finds what it should whatever is folded in the middle of
    /// it, and a lost entry wherever it lies.
    #[test]
    fn a_check_that_is_overtaken_by_what_is_folded_is_right(
        happenings in happenings(120),
        at_once in 1..8_usize,
        between in 1..4_usize,
        lost in any::<prop::sample::Index>(),
        engine in engine(),
    ) {
        let (before, after) = happenings.split_at(happenings.len() / 2);
        let mut service = Service::after(before);
        let mut place = engine.place();
        let set = service.log.opened(&mut place.folder);
        service.log.feed(&set);
        drop(set);

        let set = service.log.opened(&mut place.folder);
        let mut after = after.iter();
        while !set.is_checked() {
            for happening in after.by_ref().take(between) {
                service.happen(happening);
            }
            service.log.feed_unseen(&set);
            set.check_on(at_once).unwrap();
        }
        prop_assert_eq!(dump(&set), {
            let folded = service.log.folded();
            dump(&folded)
        });

        let entries: usize = dump(&set).iter().map(Vec::len).sum();
        if entries > 0 {
            let mut left = lost.index(entries);
            for view in set.views() {
                let entries = view.tree().scan(&KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
                if let Some((key, _)) = entries.get(left) {
                    let checkpoint = view.tree().checkpoint().unwrap().unwrap();
                    let writes = vec![(key.clone(), None)];
                    view.tree().apply(&Batch { writes, checkpoint }).unwrap();
                    break;
                }
                left -= entries.len();
            }
            drop(set);
            let set = service.log.opened(&mut place.folder);
            let checked = std::iter::repeat_with(|| set.check_on(at_once)).take(entries + 20);
            prop_assert!(checked.collect::<Result<Vec<_>, _>>().is_err());
        }
    }

    /// Law: projecting records again that a view already holds changes nothing.
    #[test]
    fn projecting_again_is_harmless(
        happenings in happenings(80),
        from in 0..80_u64,
        engine in engine(),
    ) {
        let (service, mut place) = (Service::after(&happenings), engine.place());
        let set = service.log.opened(&mut place.folder);
        service.log.feed(&set);
        let before = dump(&set);
        let budget = Budget { records_max: usize::MAX, bytes_max: usize::MAX };
        let from = Position::new(from);
        let page = service.log.store.read_all(from, &Filter::everything(), budget).unwrap();
        for view in set.views() {
            let mut overlay = view.begin();
            for record in &page.records {
                let facts = Facts::of(record);
                prop_assert_eq!(view.project(&mut overlay, record, &facts), Ok(Ok(())));
            }
            view.commit(overlay, view.position()).unwrap();
        }
        prop_assert_eq!(dump(&set), before);
    }

    /// Law: what a query by id folds on top of a view that is behind is what
    /// the view says once it is there.
    #[test]
    fn a_query_says_what_the_view_will_say(
        happenings in happenings(100),
        split in 0..100_usize,
    ) {
        let split = split.min(happenings.len());
        let (before, after) = happenings.split_at(split);
        let mut service = Service::after(before);
        let views = Views::in_memory(service.log.store()).unwrap();
        catch_up(&views, &service.log);
        views.stop();
        for happening in after {
            service.happen(happening);
        }
        let there = Views::in_memory(service.log.store()).unwrap();
        catch_up(&there, &service.log);
        for number in 0..6 {
            let id = delivery(number);
            prop_assert_eq!(views.delivery(id), there.delivery(id));
            prop_assert_eq!(views.history(id), there.history(id));
        }
        for number in 0..3 {
            prop_assert_eq!(views.user_if_near(user(number)), there.user_if_near(user(number)));
        }
    }
}

proptest! {
    // Each case opens a store on disk several times.
    #![proptest_config(fewer_cases())]

    /// Law: stops, and crashes that leave the files as they were just then, give
    /// the same views as one fold, byte for byte.
    #[test]
    fn restarts_and_crashes_give_the_same_bytes(
        runs in prop::collection::vec((happenings(30), any::<bool>()), 1..5),
    ) {
        let mut parent = tempfile::tempdir().unwrap();
        let mut service = Service::new();
        for (happenings, crashes) in &runs {
            let folder = parent.path().join("views");
            let views = open(&folder, &service.log);
            for happening in happenings {
                service.happen(happening);
            }
            if *crashes {
                let copy = tempfile::tempdir().unwrap();
                crash_copy(&folder, &copy.path().join("views"));
                drop(views);
                parent = copy;
            } else {
                catch_up(&views, &service.log);
                stop_and_verify(views, &folder, &service.log);
            }
        }
        let folder = parent.path().join("views");
        let views = open(&folder, &service.log);
        catch_up(&views, &service.log);
        prop_assert_eq!(dump(&views.shared.set()), dump(&service.log.folded()));
        stop_and_verify(views, &folder, &service.log);
    }
}

/// An eighth of the usual number of cases, so that `PROPTEST_CASES` still raises it.
fn fewer_cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(8),
        ..usual
    }
}

#[test]
fn a_happening_changes_what_it_should() {
    // Guards the laws above against comparing nothing with nothing.
    let create = crate::any_log::DeliveryStep::Create {
        with_long_texts: false,
        named: true,
    };
    let service = Service::after(&[Happening::Delivery(0, create)]);
    let views = dump(&service.log.folded());
    let filled = views.iter().filter(|entries| !entries.is_empty());
    assert_eq!(filled.count(), 6, "all but the drone sessions");
}
