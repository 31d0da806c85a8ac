//! What must hold when a script is over.

use std::collections::BTreeSet;

use sip_ua::CallState;

use crate::script::{NAMES, PHONES};
use crate::wire::Wire;
use crate::world::World;

/// Plays the script to its end, and judges what came of it.
pub fn play(world: &mut World, connected: bool) {
    world.play();
    if !connected {
        world.probe();
    }
    let wires = read(world);
    calls(world, &wires);
    subscriptions(world);
    world.check_settled();
    world.close();
    world.check_empty();
    for mut wire in read(world) {
        wire.check_settled(connected);
        for fault in wire.faults {
            world.fault(fault);
        }
    }
}

fn read(world: &World) -> Vec<Wire> {
    let passages = world.network.passages();
    (0..PHONES)
        .map(|phone| Wire::read(NAMES[phone], passages, &world.phones[phone].addresses))
        .collect()
}

/// Both ends of a call say the same of it.
fn calls(world: &mut World, wires: &[Wire]) {
    let numbers: BTreeSet<u32> = world.calls.iter().map(|call| call.number).collect();
    for number in numbers {
        let mut up = Vec::new();
        for index in 0..world.calls.len() {
            if world.calls[index].number != number {
                continue;
            }
            let (phone, placed) = (world.calls[index].phone, world.calls[index].placed);
            match world.state(index) {
                Some(CallState::Established) => up.push((phone, placed)),
                None | Some(CallState::Over) if world.calls[index].ended.is_some() => {}
                state => {
                    world.fault(format!("call {number} at {} still is {state:?}", NAMES[phone]));
                }
            }
        }
        // Whoever moved and could not tell is lost to the other until the session timer says so.
        let relocates = world.calls.iter().any(|call| call.number == number && call.relocates);
        let callers = up.iter().filter(|(_, placed)| *placed).count();
        if !relocates && !up.is_empty() && (up.len(), callers) != (2, 1) {
            let who: Vec<_> = up.iter().map(|(phone, _)| NAMES[*phone]).collect();
            world.fault(format!("call {number} stands only at {}", who.join(" and ")));
        }
    }
    for one in 0..PHONES {
        for other in 0..PHONES {
            if one == other {
                continue;
            }
            for id in wires[one].standing() {
                let mirror = (id.0.clone(), id.2.clone(), id.1.clone());
                if !wires[other].standing().any(|id| *id == mirror) {
                    continue;
                }
                let (here, there) = (wires[one].agreed(id), wires[other].agreed(&mirror));
                let there = there.map(|(own, other)| (other.clone(), own.clone()));
                if here.cloned() != there {
                    world.fault(format!(
                        "{} and {} have another session: {here:?}, {there:?}",
                        NAMES[one], NAMES[other]
                    ));
                }
            }
        }
    }
}

/// Who is told, and who tells, agree on whether a subscription lives, and on the state.
fn subscriptions(world: &mut World) {
    let mut faults = Vec::new();
    for subscribed in &world.subscriptions {
        let number = subscribed.number;
        let mut tellers = world.notifiers.iter().filter(|it| it.number == number && !it.is_over);
        let (first, second) = (tellers.next(), tellers.next());
        if second.is_some() {
            faults.push(format!("subscription {number} has two notifiers"));
        }
        match (subscribed.is_active, first) {
            (true, None) => faults.push(format!("nobody knows subscription {number} any more")),
            (false, Some(_)) if subscribed.is_over => {
                faults.push(format!("subscription {number} is over, and still served"));
            }
            (true, Some(teller)) if subscribed.told.as_ref() != Some(&teller.state) => {
                faults.push(format!(
                    "subscription {number} was told {:?}, and the state is {:?}",
                    subscribed.told, teller.state
                ));
            }
            _ => {}
        }
    }
    for fault in faults {
        world.fault(fault);
    }
}
