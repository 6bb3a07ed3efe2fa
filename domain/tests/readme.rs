//! The README's event catalogue is the code's.

use domain::codec::event_types;

#[test]
fn the_catalogue_lists_every_event_type_as_it_is() {
    let readme = include_str!("../README.md");
    let catalogue: Vec<_> = readme
        .lines()
        .filter(|line| {
            line.strip_prefix("| ")
                .is_some_and(|row| row.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            assert!(!cells[4].is_empty(), "{line} has no meaning");
            cells[1..4].join(" ")
        })
        .collect();
    let expected: Vec<_> = event_types()
        .iter()
        .map(|t| format!("{} `{}` {}", t.number, t.name, t.schema))
        .collect();
    assert_eq!(catalogue, expected);
}
