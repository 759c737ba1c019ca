//! An ICE-lite agent (RFC 8445): it answers checks, and the peer decides which pair is used.

use std::time::{Duration, Instant};

use super::door::{IceCredentials, IceState};
use super::output::Path;
use crate::wire::stun::{IntegrityKey, Message};

/// Without a valid check for so long, consent has ended (RFC 7675, 5.1).
const EXPIRY: Duration = Duration::from_secs(30);
/// A pair of lower priority waits so long for the nominated one to fall silent.
const PREFERENCE: Duration = Duration::from_millis(500);
const MAX_PAIRS: usize = 16;

/// The credentials of one ICE generation.
#[derive(Clone, Debug)]
struct Generation {
    ufrag: String,
    /// Of our password: it signs requests and answers alike.
    key: IntegrityKey,
}

impl Generation {
    fn new(credentials: &IceCredentials) -> Self {
        Self { ufrag: credentials.local_ufrag.clone(), key: IntegrityKey::new(&credentials.local_pwd) }
    }
}

/// An address of the peer from which a valid check came.
#[derive(Clone, Debug)]
struct Pair {
    path: Path,
    priority: u32,
    checked: Instant,
    /// The last check had USE-CANDIDATE.
    nominating: bool,
}

/// What a valid check changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub state: Option<IceState>,
    /// The check came from an address that was not known.
    pub opened: bool,
    /// An address that is no longer believed.
    pub closed: Option<Path>,
    /// The ufrag before a restart that is now complete.
    pub retired: Option<String>,
}

#[derive(Clone, Debug)]
pub struct IceAgent {
    current: Generation,
    /// After a restart, until one of its pairs is nominated.
    next: Option<Generation>,
    pairs: Vec<Pair>,
    selected: Option<Path>,
    /// The last valid check: of the selected pair, as soon as there is one.
    checked: Instant,
    expired: bool,
}

impl IceAgent {
    pub fn new(now: Instant, credentials: &IceCredentials) -> Self {
        Self {
            current: Generation::new(credentials),
            next: None,
            pairs: Vec::new(),
            selected: None,
            checked: now,
            expired: false,
        }
    }

    /// New credentials; returns those of an unfinished restart, which are void.
    pub fn restart(&mut self, now: Instant, credentials: &IceCredentials) -> Option<String> {
        self.checked = now;
        let before = self.next.replace(Generation::new(credentials));
        before.map(|generation| generation.ufrag)
    }

    /// The key of one of our username fragments.
    pub fn key(&self, ufrag: &str) -> Option<&IntegrityKey> {
        let mut generations = std::iter::once(&self.current).chain(&self.next);
        generations.find(|generation| generation.ufrag == ufrag).map(|generation| &generation.key)
    }

    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.next).map(|generation| generation.ufrag.as_str())
    }

    /// The addresses from which media and DTLS are taken.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.pairs.iter().map(|pair| &pair.path)
    }

    /// Where media goes.
    pub fn selected(&self) -> Option<&Path> {
        self.selected.as_ref()
    }

    /// Where DTLS goes: before a nomination, to the best address from which a check came.
    pub fn reachable(&self) -> Option<&Path> {
        let best = || self.pairs.iter().max_by_key(|pair| pair.priority).map(|pair| &pair.path);
        self.selected().or_else(best)
    }

    /// Takes a check whose integrity was verified with the key of `ufrag`.
    pub fn check(&mut self, now: Instant, ufrag: &str, message: &Message, path: Path) -> Outcome {
        let mut outcome = Outcome::default();
        let same = |pair: &Pair| (pair.path.socket, pair.path.remote) == (path.socket, path.remote);
        let at = self.pairs.iter().position(same).unwrap_or_else(|| {
            outcome.opened = true;
            outcome.closed = self.make_room();
            self.pairs.push(Pair { path, priority: 0, checked: now, nominating: false });
            self.pairs.len() - 1
        });
        let pair = &mut self.pairs[at];
        (pair.path, pair.checked, pair.nominating) = (path, now, message.use_candidate);
        pair.priority = message.priority.unwrap_or(0);
        if message.use_candidate {
            self.nominate(now, ufrag, at, &mut outcome);
        }
        // Consent is of a pair (RFC 7675, 5.1): who checks from elsewhere gives none for it.
        let (socket, remote) = (path.socket, path.remote);
        if self.selected.is_none_or(|selected| (selected.socket, selected.remote) == (socket, remote)) {
            self.checked = now;
        }
        outcome
    }

    fn nominate(&mut self, now: Instant, ufrag: &str, at: usize, outcome: &mut Outcome) {
        let path = self.pairs[at].path;
        let restarted = self.next.as_ref().is_some_and(|next| next.ufrag == ufrag);
        let stale = self.next.is_some() && !restarted && self.selected.is_some();
        if !restarted && !stale && !self.may_replace_selected(now, at) {
            return;
        }
        if stale && self.selected.is_some_and(|selected| selected.remote != path.remote) {
            return; // the old generation keeps its pair until the new one has one
        }
        let moved = self.selected.is_some_and(|selected| selected != path);
        if restarted {
            if let Some(next) = self.next.take() {
                outcome.retired = Some(std::mem::replace(&mut self.current, next).ufrag);
            }
        }
        if self.expired || restarted || self.selected.is_none() {
            outcome.state = Some(IceState::Connected);
        } else if moved {
            outcome.state = Some(IceState::Moved);
        }
        self.expired = false;
        self.selected = Some(path);
    }

    /// The newest nomination wins; with aggressive nomination, where all pairs are nominated
    /// all the time, the highest priority does.
    fn may_replace_selected(&self, now: Instant, at: usize) -> bool {
        let Some(selected) = self.selected else { return true };
        let Some(pair) = self.pairs.iter().find(|pair| pair.path == selected) else { return true };
        let alive = pair.nominating && now.saturating_duration_since(pair.checked) < PREFERENCE;
        !alive || self.pairs[at].priority >= pair.priority
    }

    /// Forgets the address that was silent for longest when there are too many.
    fn make_room(&mut self) -> Option<Path> {
        if self.pairs.len() < MAX_PAIRS {
            return None;
        }
        let selected = self.selected;
        let candidates = self.pairs.iter().enumerate().filter(|(_, pair)| Some(pair.path) != selected);
        let (oldest, _) = candidates.min_by_key(|(_, pair)| pair.checked)?;
        Some(self.pairs.swap_remove(oldest).path)
    }

    /// Once, when the peer has not checked the selected pair for 30 s.
    pub fn expire(&mut self, now: Instant) -> bool {
        let expires = !self.expired && now.saturating_duration_since(self.checked) >= EXPIRY;
        self.expired |= expires;
        expires
    }

    /// Whether media may be sent: consent has not ended.
    pub fn may_send(&self) -> bool {
        !self.expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stun::{Builder, Class};

    struct Peer {
        agent: IceAgent,
        start: Instant,
    }

    impl Peer {
        fn new() -> Self {
            let start = Instant::now();
            Self { agent: IceAgent::new(start, &credentials("one")), start }
        }

        fn check(&mut self, ms: u64, ufrag: &str, port: u16, priority: u32, nominate: bool) -> Outcome {
            let mut bytes = Vec::new();
            let builder = Builder::new(&mut bytes, Class::Request, &[0; 12]).priority(priority);
            if nominate { builder.use_candidate() } else { builder }.finish();
            let message = Message::parse(&bytes).unwrap();
            let path = Path { socket: 0, local: None, remote: ([192, 0, 2, 1], port).into() };
            self.agent.check(self.start + Duration::from_millis(ms), ufrag, &message, path)
        }

        fn port(&self) -> Option<u16> {
            self.agent.selected().map(|path| path.remote.port())
        }
    }

    fn credentials(ufrag: &str) -> IceCredentials {
        let [local_pwd, remote_ufrag, remote_pwd] = ["pwd", "peer", "secret"].map(String::from);
        IceCredentials { local_ufrag: ufrag.into(), local_pwd, remote_ufrag, remote_pwd }
    }

    #[test]
    fn use_candidate_selects_and_moves() {
        let mut peer = Peer::new();
        let outcome = peer.check(0, "one", 1, 10, false);
        assert!(outcome.opened && outcome.state.is_none());
        assert_eq!(peer.port(), None);
        assert_eq!(peer.agent.reachable().unwrap().remote.port(), 1);
        assert_eq!(peer.check(10, "one", 1, 10, true).state, Some(IceState::Connected));
        assert_eq!(peer.check(20, "one", 1, 10, true).state, None);
        assert_eq!(peer.check(30, "one", 2, 10, true).state, Some(IceState::Moved), "the newest");
        assert_eq!(peer.port(), Some(2));
    }

    #[test]
    fn aggressive_nomination_settles_on_the_best_pair_and_leaves_a_dead_one() {
        let mut peer = Peer::new();
        let mut moves = 0;
        for round in 0..10u64 {
            for (port, priority) in [(1, 10), (2, 30), (3, 20)] {
                let outcome = peer.check(round * 50 + u64::from(port), "one", port, priority, true);
                moves += usize::from(outcome.state == Some(IceState::Moved));
            }
        }
        assert_eq!((peer.port(), moves), (Some(2), 1));
        peer.check(800, "one", 3, 20, true);
        assert_eq!((peer.port(), moves), (Some(2), 1));
        assert_eq!(peer.check(1000, "one", 3, 20, true).state, Some(IceState::Moved));
    }

    #[test]
    fn a_nomination_taken_back_frees_the_way_at_once() {
        let mut peer = Peer::new();
        peer.check(0, "one", 1, 30, true);
        peer.check(10, "one", 1, 30, false);
        assert_eq!(peer.check(20, "one", 2, 10, true).state, Some(IceState::Moved));
    }

    #[test]
    fn both_generations_are_valid_until_the_new_one_is_nominated() {
        let mut peer = Peer::new();
        peer.check(0, "one", 1, 10, true);
        assert_eq!(peer.agent.restart(peer.start, &credentials("two")), None);
        assert!(peer.agent.key("one").is_some() && peer.agent.key("two").is_some());
        assert_eq!(peer.check(100, "two", 2, 5, false), Outcome { opened: true, ..Default::default() });
        peer.check(110, "one", 1, 10, true);
        assert_eq!(peer.port(), Some(1), "media goes on over the old path");
        let outcome = peer.check(120, "two", 2, 5, true);
        assert_eq!((outcome.state, outcome.retired.as_deref()), (Some(IceState::Connected), Some("one")));
        assert_eq!(peer.port(), Some(2));
        assert!(peer.agent.key("one").is_none());
    }

    #[test]
    fn expires_once_and_comes_back() {
        let mut peer = Peer::new();
        let at = |peer: &Peer, ms| peer.start + Duration::from_millis(ms);
        peer.check(1000, "one", 1, 10, true);
        let (soon, late) = (at(&peer, 30_999), at(&peer, 31_000));
        assert!(!peer.agent.expire(soon));
        assert!(peer.agent.expire(late) && !peer.agent.expire(late) && !peer.agent.may_send());
        assert_eq!(peer.check(40_000, "one", 1, 10, true).state, Some(IceState::Connected));
        assert!(peer.agent.may_send());
    }

    #[test]
    fn checks_from_elsewhere_give_no_consent_for_the_selected_address() {
        let mut peer = Peer::new();
        peer.check(1000, "one", 1, 10, true);
        for second in 2..31 {
            peer.check(second * 1000, "one", 2, 10, false);
        }
        let at = peer.start + Duration::from_millis(31_000);
        assert!(peer.agent.expire(at) && !peer.agent.may_send());
    }

    #[test]
    fn remembers_few_addresses_and_never_forgets_the_selected_one() {
        let mut peer = Peer::new();
        peer.check(0, "one", 1000, 10, true);
        for n in 0..100 {
            let outcome = peer.check(10 + u64::from(n), "one", n, 10, false);
            assert_eq!(outcome.closed.is_some(), n >= 15);
        }
        assert_eq!((peer.agent.pairs.len(), peer.port()), (MAX_PAIRS, Some(1000)));
    }
}
