import { describe, expect, it } from 'vitest';
import { LockTable } from './locks.ts';
import type { LockHolder } from './locks.ts';

class Client implements LockHolder {
  readonly events: string[] = [];
  onLocked(name: string): void {
    this.events.push(`locked ${name}`);
  }
  onStolen(name: string): void {
    this.events.push(`stolen ${name}`);
  }
}

describe('a lock', () => {
  it('goes back to who had waited for it when the thief gives it back', () => {
    const locks = new LockTable();
    const [owner, thief] = [new Client(), new Client()];
    expect(locks.lock('l', owner)).toBe(true);
    locks.steal('l', thief);
    expect(owner.events).toEqual(['stolen l']);
    locks.unlock('l', thief);
    expect(owner.events).toEqual(['stolen l', 'locked l']);
    expect(locks.isOwner('l', owner)).toBe(true);
  });

  it('does not go back to a thief from whom it was stolen, who has to unlock it all the same', () => {
    const locks = new LockTable();
    const [first, second] = [new Client(), new Client()];
    locks.steal('l', first);
    locks.steal('l', second);
    expect(first.events).toEqual(['stolen l']);
    expect(locks.namesOf(first)).toEqual({ held: [], waiting: [], lost: ['l'] });
    locks.unlock('l', second);
    expect(locks.isOwner('l', first)).toBe(false);
    expect(locks.isInvolved('l', first)).toBe(true);
    locks.release(first);
    expect(locks.isInvolved('l', first)).toBe(false);
    expect(locks.lock('l', second)).toBe(true);
  });
});
