//! The journal as a whole: kills, full disks, gaps; and `tshark` as a second reader.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::scratch::Scratch;
use super::*;
use crate::core::{Codec, ExtensionIds, MediaKind, ProducerParameters, Protocol, Tap};

const CHILD: &str = "KELIAN_TEST_JOURNAL";
const KEY: &str = "lesson/20261124T103000Z-ab.pcapng";
const PACKET: u32 = 6;
const STATISTICS: u32 = 5;

fn settings(scratch: &Path) -> Settings {
    let memory = scratch.join("memory");
    fs::create_dir_all(&memory).unwrap();
    Settings { memory, ring_bytes: 1 << 16, ..Settings::new(scratch.join("journals")) }
}

fn parameters(source: u32) -> ProducerParameters {
    ProducerParameters {
        source,
        group: 1,
        kind: MediaKind::Audio,
        codec: Codec::Opus,
        clock_rate: 48_000,
        mid: "0".into(),
        payload_type: 111,
        rtx_payload_type: None,
        ssrcs: vec![source],
        rtx_ssrcs: Vec::new(),
        rids: Vec::new(),
        extensions: ExtensionIds::default(),
        nack: false,
        pli: false,
        fir: false,
        twcc: false,
    }
}

/// An RTP packet whose timestamp is `n`.
fn packet(source: u32, n: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend_from_slice(&(n as u16).to_be_bytes());
    packet.extend_from_slice(&n.to_be_bytes());
    packet.extend_from_slice(&source.to_be_bytes());
    packet.resize(12 + n as usize % 300, n as u8);
    packet
}

fn push(recorder: &mut Recorder, source: u32, n: u32) {
    recorder.packet(source, 1 << 60 | u64::from(n), Protocol::Rtp, &[&packet(source, n)]);
}

/// (kind, body) of every whole block of a file; a torn one at the end is left out.
fn blocks(path: &Path) -> Vec<(u32, Vec<u8>)> {
    let bytes = fs::read(path).unwrap_or_default();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut blocks) = (0, Vec::new());
    while at + 12 <= bytes.len() {
        let len = word(at + 4) as usize;
        if at + len > bytes.len() {
            break;
        }
        assert_eq!(word(at + len - 4) as usize, len, "a block's second length");
        blocks.push((word(at), bytes[at + 8..at + len - 4].to_vec()));
        at += len;
    }
    blocks
}

/// What a journal and what was recovered beside it hold: each number with its source, in order.
fn numbers(settings: &Settings) -> Vec<(u32, u32)> {
    let names = [KEY.to_string(), KEY.replace(".pcapng", "-tail.pcapng")];
    let blocks = names.iter().flat_map(|name| blocks(&settings.folder.join(name)));
    let packets = blocks.filter(|(kind, _)| *kind == PACKET).map(|(_, body)| {
        let word = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        let (n, source) = (word(20 + 12 + 4), word(20 + 12 + 8));
        assert_eq!(body[32..].split_at(packet(source, n).len()).0, packet(source, n));
        (source, n)
    });
    packets.collect()
}

/// The homes of rings that are left.
fn homes(settings: &Settings) -> Vec<PathBuf> {
    fs::read_dir(&settings.memory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// This test again, as a process of its own.
fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("journal::tests::{test}"), "--nocapture"]);
    command.env(CHILD, folder).stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_was_recorded_is_in_the_file_when_it_is_closed() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let (journal, mut recorder) = Journal::start(&settings, |_| {}).unwrap();
    assert_eq!(homes(&settings).len(), 1);
    for source in [7, 8] {
        recorder.begin(KEY, "use=microphone", &parameters(source));
    }
    for n in 0..100 {
        push(&mut recorder, 7 + n % 2, n);
    }
    recorder.end(7);
    push(&mut recorder, 7, 100);
    drop(recorder);
    drop(journal);
    let expected: Vec<(u32, u32)> = (0..100).map(|n| (7 + n % 2, n)).collect();
    assert_eq!(numbers(&settings), expected);
    assert_eq!(homes(&settings).len(), 0);
    let interface = &blocks(&settings.folder.join(KEY))[1].1;
    let text = String::from_utf8_lossy(interface);
    assert!(text.contains("source 7"), "{text}");
    let description = r#"{"source":7,"kind":"audio","codec":"opus","clock_rate":48000,"payload_type":111,"label":"use=microphone","extensions":{}}"#;
    assert!(text.contains(description), "{text}");
}

#[test]
fn a_source_that_sends_nothing_leaves_no_file() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let (journal, mut recorder) = Journal::start(&settings, |_| {}).unwrap();
    recorder.begin(KEY, "", &parameters(7));
    recorder.end(7);
    drop(recorder);
    drop(journal);
    assert!(!settings.folder.join(KEY).exists());
}

#[test]
fn what_finds_no_room_is_counted_and_written_down_as_a_gap() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let (journal, mut recorder) =
        Journal::start(&settings, move |notice| told.lock().unwrap().push(notice)).unwrap();
    recorder.begin(KEY, "", &parameters(7));
    // More than the ring holds, in less time than the writer sleeps.
    for n in 0..2000 {
        push(&mut recorder, 7, n);
    }
    let counters = journal.counters();
    until("the ring is emptied", || counters.packets.load(Ordering::Relaxed) > 100);
    std::thread::sleep(Duration::from_millis(50));
    recorder.tick();
    push(&mut recorder, 7, 2000);
    drop(recorder);
    drop(journal);
    let kept = numbers(&settings);
    assert!(kept.is_sorted() && kept.last() == Some(&(7, 2000)), "{kept:?}");
    let lost: u64 = blocks(&settings.folder.join(KEY))
        .iter()
        .filter(|(kind, _)| *kind == STATISTICS)
        .map(|(_, body)| u64::from_le_bytes(body[body.len() - 12..body.len() - 4].try_into().unwrap()))
        .sum();
    assert_eq!(kept.len() as u64 + lost, 2001);
    let notices = notices.lock().unwrap();
    assert!(notices.iter().any(|notice| notice.state == State::Gap && notice.file == KEY), "{notices:?}");
}

/// The child records two sources as fast as it can, and keeps in a mapped file how many packets
/// its ring has taken. Whatever moment it is killed at, all of them come back, in order.
#[test]
fn a_kill_loses_nothing_that_the_ring_has_taken() {
    const KILLS: u64 = 100;
    if let Some(folder) = std::env::var_os(CHILD) {
        return record_until_killed(Path::new(&folder));
    }
    let mut total = 0;
    for kill in 0..KILLS {
        let scratch = Scratch::new();
        let settings = settings(scratch.path());
        let mut child =
            child("a_kill_loses_nothing_that_the_ring_has_taken", scratch.path()).spawn().unwrap();
        let count = || {
            let bytes = fs::read(scratch.path().join("count")).unwrap_or_default();
            bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        until("the child records", || count() > 0);
        std::thread::sleep(Duration::from_micros(kill * 7919 % 40_000));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(homes(&settings).len(), 1);

        let (journal, recorder) = Journal::start(&settings, |_| {}).unwrap();
        assert_eq!(homes(&settings).len(), 1, "only the new one");
        drop(recorder);
        drop(journal);
        // By source and number: a batch that was written before the kill may come twice.
        let mut kept: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (source, n) in numbers(&settings) {
            let of_source = kept.entry(source).or_default();
            if of_source.last().is_none_or(|&last| last < n) {
                of_source.push(n);
            }
        }
        let mut all: Vec<u32> = kept.into_values().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..all.len() as u32).collect::<Vec<_>>(), "kill {kill}");
        assert!(all.len() as u64 >= count(), "kill {kill}: {} of {}", all.len(), count());
        total += all.len();
    }
    assert!(total > 10_000, "{total} packets in all prove little");
}

fn record_until_killed(scratch: &Path) {
    use std::os::unix::fs::FileExt;
    let settings = Settings { ring_bytes: 1 << 20, flush: Duration::from_millis(5), ..settings(scratch) };
    let (journal, mut recorder) = Journal::start(&settings, |_| {}).unwrap();
    let count = fs::File::create(scratch.join("count")).unwrap();
    for source in [7, 8] {
        recorder.begin(KEY, "", &parameters(source));
    }
    let counters = journal.counters();
    for n in 0.. {
        push(&mut recorder, 7 + n % 2, n);
        count.write_all_at(&u64::from(n + 1).to_le_bytes(), 0).unwrap();
        // Not faster than the disk: this is about kills, not about gaps.
        while u64::from(n) > counters.packets.load(Ordering::Relaxed) + 2000 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// The child's files may not grow beyond a limit, which is what a full disk looks like: a write
/// within a block ends early, the next fails. Then the limit is lifted.
#[test]
fn a_full_disk_is_told_and_waited_for() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return record_on_a_full_disk(Path::new(&folder));
    }
    let scratch = Scratch::new();
    let status = child("a_full_disk_is_told_and_waited_for", scratch.path()).status().unwrap();
    assert!(status.success(), "{status}");
}

fn record_on_a_full_disk(scratch: &Path) {
    let settings = Settings { ring_bytes: 1 << 20, ..settings(scratch) };
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let (journal, mut recorder) =
        Journal::start(&settings, move |notice| told.lock().unwrap().push(notice.state)).unwrap();
    limit_files(10_000);
    recorder.begin(KEY, "", &parameters(7));
    let mut n = 0;
    let has = |state: State| notices.lock().unwrap().contains(&state);
    while !has(State::Full) {
        push(&mut recorder, 7, n);
        n += 1;
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(fs::metadata(settings.folder.join(KEY)).unwrap().len(), 10_000, "cut within a block");
    let written = n;
    for _ in 0..50 {
        push(&mut recorder, 7, n);
        n += 1;
    }
    limit_files(libc::RLIM_INFINITY);
    until("the disk is well again", || has(State::Ok));
    push(&mut recorder, 7, n);
    drop(recorder);
    drop(journal);
    assert!(written > 20);
    let all = (0..=n).map(|n| (7, n));
    assert!(numbers(&settings).into_iter().eq(all), "no gap, nothing twice");
    assert_eq!(*notices.lock().unwrap(), [State::Full, State::Ok]);
}

fn limit_files(bytes: u64) {
    // SAFETY: the process is a test's own; the limit outlives the call.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}

/// A pipe that nobody reads takes some and then makes the writer wait, as a disk that hangs does.
#[test]
fn a_disk_that_hangs_is_told_by_the_ring() {
    let scratch = Scratch::new();
    let settings = Settings { flush: Duration::from_secs(3600), ..settings(scratch.path()) };
    let path = settings.folder.join(KEY);
    file::make_folder(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut pipe = fs::OpenOptions::new();
    let mut pipe = pipe.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let (journal, mut recorder) =
        Journal::start(&settings, move |notice| told.lock().unwrap().push(notice.state)).unwrap();
    recorder.begin(KEY, "", &parameters(7));
    let has = |state: State| notices.lock().unwrap().contains(&state);
    let mut n = 0;
    until("the ring is half full", || {
        push(&mut recorder, 7, n);
        recorder.tick();
        n += 1;
        has(State::Slow)
    });
    let mut taken = vec![0; 1 << 16];
    until("the pipe is read", || {
        recorder.tick();
        if !has(State::Ok) {
            // Nothing there yet: the writer is about to go on.
            let _count = pipe.read(&mut taken).unwrap_or(0);
        }
        has(State::Ok)
    });
    drop(recorder);
    drop(journal);
    assert_eq!(notices.lock().unwrap()[..2], [State::Slow, State::Ok]);
}

/// A disk that stays full until the node ends: the next start has it all.
#[test]
fn what_a_full_disk_refused_is_written_at_the_next_start() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let (journal, mut recorder) = Journal::start(&settings, |_| {}).unwrap();
    // A folder where the file should be: it cannot be opened.
    fs::create_dir_all(settings.folder.join(KEY)).unwrap();
    recorder.begin(KEY, "", &parameters(7));
    (0..20).for_each(|n| push(&mut recorder, 7, n));
    drop(recorder);
    drop(journal);
    assert_eq!(homes(&settings).len(), 1, "the ring stays");
    fs::remove_dir(settings.folder.join(KEY)).unwrap();
    drop(Journal::start(&settings, |_| {}).unwrap());
    assert_eq!(numbers(&settings), (0..20).map(|n| (7, n)).collect::<Vec<_>>());
    assert_eq!(homes(&settings).len(), 0);
}

#[test]
fn rings_of_living_nodes_and_of_other_journals_are_left_alone() {
    let scratch = Scratch::new();
    let one = settings(scratch.path());
    let other = Settings { folder: scratch.path().join("others"), ..one.clone() };
    let (living, mut recorder) = Journal::start(&one, |_| {}).unwrap();
    recorder.begin(KEY, "", &parameters(7));
    push(&mut recorder, 7, 0);
    drop(Journal::start(&one, |_| {}).unwrap());
    drop(Journal::start(&other, |_| {}).unwrap());
    assert_eq!(homes(&one).len(), 1);
    push(&mut recorder, 7, 1);
    drop(recorder);
    drop(living);
    assert_eq!(numbers(&one), [(7, 0), (7, 1)]);
}

#[test]
fn a_foreign_or_broken_ring_stops_no_start() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let folder = file::make_folder(&settings.folder).unwrap();
    let home = settings.memory.join("kelian-0123456789abcdef");
    fs::create_dir_all(&home).unwrap();
    drop(Journal::start(&settings, |_| {}).unwrap());
    assert!(home.exists(), "not ours");
    fs::write(home.join("journals"), folder.as_os_str().as_encoded_bytes()).unwrap();
    fs::write(home.join("sources"), [9; 9]).unwrap();
    fs::write(home.join("ring"), vec![7; 1 << 18]).unwrap();
    drop(Journal::start(&settings, |_| {}).unwrap());
    assert!(!home.exists(), "nothing can be read from it");
}

/// A program that knows nothing of us decodes RTP and sender reports by itself.
#[test]
fn tshark_decodes_a_journal_by_itself() {
    let scratch = Scratch::new();
    let settings = settings(scratch.path());
    let (journal, mut recorder) = Journal::start(&settings, |_| {}).unwrap();
    recorder.begin(KEY, "use=microphone", &parameters(7));
    let mut report = vec![0x80, 200, 0, 6];
    for word in [7u32, 0xed80_0000, 0, 48_000, 3, 300] {
        report.extend_from_slice(&word.to_be_bytes());
    }
    (0..3).for_each(|n| push(&mut recorder, 7, n));
    recorder.packet(7, 1_795_516_200_123_456_789, Protocol::Rtcp, &[&report]);
    drop(recorder);
    drop(journal);
    let mut command = Command::new("tshark");
    command.arg("-r").arg(settings.folder.join(KEY)).args(["-T", "fields"]);
    for field in ["_ws.col.Protocol", "rtp.ssrc", "rtp.seq", "rtcp.senderssrc", "frame.time_epoch"] {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed (.ci/run)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (n, line) in lines[..3].iter().enumerate() {
        assert_eq!(line[..3], ["RTP", "0x00000007", &n.to_string()]);
    }
    assert_eq!((lines[3][0], lines[3][3]), ("RTCP", "0x00000007"));
    assert_eq!(lines[3][4], "1795516200.123456789");
}
