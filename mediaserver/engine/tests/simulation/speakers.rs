//! Who speaks is told, loudest first.

use _engine::core::{Codec, Event};

use crate::sender::Sender;
use crate::world::{Link, World};

#[test]
fn tells_who_speaks_and_when_all_are_silent() {
    let mut world = World::new(1);
    let publisher = world.join(Link::with_delay(10), Link::with_delay(10));
    for source in 1..=3 {
        world.publish(publisher, Sender::new(source, Codec::Opus));
    }
    let last = |world: &World| {
        world.events.iter().rev().find_map(|(us, event)| match event {
            Event::Speakers { group: 1, levels } => {
                Some((*us, levels.iter().map(|l| l.0).collect::<Vec<_>>()))
            }
            _ => None,
        })
    };
    world.run_ms(2000);
    assert_eq!(last(&world), None, "silence is no news");
    world.peers[0].sender(2).level = 30;
    world.run_ms(500);
    assert_eq!(last(&world).unwrap().1, [2]);
    world.peers[0].sender(3).level = 20;
    world.run_ms(600);
    assert_eq!(last(&world).unwrap().1, [3, 2]);
    let told = world.events.iter().filter(|(_, event)| matches!(event, Event::Speakers { .. })).count();
    assert!((3..=5).contains(&told), "{told} in 1.1 s");
    for source in [2, 3] {
        world.peers[0].sender(source).level = 127;
    }
    world.run_ms(2000);
    let (at_us, levels) = last(&world).unwrap();
    assert!(levels.is_empty() && world.now_us - at_us > 800_000, "told once");
}
