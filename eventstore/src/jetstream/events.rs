//! What a connection's client reports, told without saying it again and again.

/// How many different reports of one connection are told, at the most, until it
/// is there anew.
const REPORTS_MAX: usize = 8;

/// What was told of a connection that mends itself: while it is lost its client
/// reports every try to make it anew, several a second.
#[derive(Debug, Default)]
pub struct ConnectionTelling {
    is_lost: bool,
    told: Vec<String>,
}

impl ConnectionTelling {
    /// It was lost; gives whether that is news.
    pub fn lost(&mut self) -> bool {
        !std::mem::replace(&mut self.is_lost, true)
    }

    /// It is there; gives whether it was lost before.
    pub fn connected(&mut self) -> bool {
        self.told.clear();
        std::mem::take(&mut self.is_lost)
    }

    /// The client reports something; gives whether it is to be told.
    pub fn reports(&mut self, words: &str) -> bool {
        let is_known = self.told.iter().any(|told| told == words);
        let is_news = !is_known && self.told.len() < REPORTS_MAX;
        if is_news {
            self.told.push(words.to_owned());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_each_different_report_and_the_return_are_told_once() {
        let mut telling = ConnectionTelling::default();
        assert!(!telling.connected(), "it was never lost");
        assert_eq!([telling.lost(), telling.lost()], [true, false]);
        let refused = |telling: &mut ConnectionTelling| telling.reports("connection refused");
        assert_eq!(
            [refused(&mut telling), refused(&mut telling)],
            [true, false]
        );
        let others = (0..100).filter(|number| telling.reports(&format!("report {number}")));
        assert_eq!(others.count(), REPORTS_MAX - 1);
        assert_eq!([telling.connected(), telling.connected()], [true, false]);
        assert!(telling.lost() && refused(&mut telling), "the next time");
    }
}
