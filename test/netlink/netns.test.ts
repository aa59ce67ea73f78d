import { describe, expect, test } from 'vitest';
import { netnsNameProblem } from '../../src/netlink/netns.js';

describe('names of network namespaces', () => {
  test.each(['web', 'a.b', 'x'.repeat(255), 'cni-0b1c'])('%s is one', (name) => {
    expect(netnsNameProblem(name)).toBeUndefined();
  });

  test.each(['', '.', '..', 'a/b', '../x', 'a\0b', 'x'.repeat(256), 'ü'.repeat(128)])('%j is none', (name) => {
    expect(netnsNameProblem(name)).toBeTypeOf('string');
  });
});
