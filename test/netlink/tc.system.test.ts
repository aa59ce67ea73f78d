import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createVeth, getLink } from '../../src/netlink/link.js';
import { isErrno } from '../../src/netlink/netlink.js';
import { addClsact, ingressQueue, listClassifiers, removeClassifier, removeClsact, setClassifier } from '../../src/netlink/tc.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding, Network } from '../native/lab.js';

const { EEXIST, EINVAL, ENOENT } = constants.errno;
/** `ret #-1` */
const UNSPEC = new Uint8Array(new Uint32Array([0x06, 0xffffffff]).buffer);

describeSystem('queues and classifiers at an ingress', ['root'], () => {
  let net: Network;
  let index: number;

  beforeEach(() => {
    net = new Network();
    createVeth(net.netlink, { name: 'veth0' }, { name: 'veth1' });
    index = getLink(net.netlink, 'veth0').index;
  });

  afterEach(() => net.close());

  function errnoOf(act: () => void): number {
    try {
      act();
    } catch (error) {
      return [EEXIST, EINVAL, ENOENT].find((errno) => isErrno(error, errno)) ?? -1;
    }
    return 0;
  }

  test('a clsact queue comes and goes; another interface has none', () => {
    expect(ingressQueue(net.netlink, index)).toBe('');
    addClsact(net.netlink, index);
    expect(ingressQueue(net.netlink, index)).toBe('clsact');
    expect(ingressQueue(net.netlink, getLink(net.netlink, 'veth1').index)).toBe('');
    expect(errnoOf(() => addClsact(net.netlink, index))).toBe(EEXIST);
    removeClsact(net.netlink, index);
    expect(ingressQueue(net.netlink, index)).toBe('');
    expect([ENOENT, EINVAL]).toContain(errnoOf(() => removeClsact(net.netlink, index)));
  });

  describeSystem('with eBPF', ['bpf'], () => {
    test('classifiers are listed in order of priority, with what tells ours apart', () => {
      expect(listClassifiers(net.netlink, index)).toEqual([]);
      addClsact(net.netlink, index);
      const guard = binding.openGuard();
      const descriptor = binding.guardProgram(guard);
      setClassifier(net.netlink, index, { priority: 5, handle: 7, program: { descriptor, name: 'tapbridge' } });
      setClassifier(net.netlink, index, { priority: 2, handle: 0xfffffff0, program: { classic: UNSPEC } });
      binding.closeDescriptor(descriptor);
      binding.closeDescriptor(guard);
      const listed = listClassifiers(net.netlink, index);
      expect(listed).toEqual([
        { priority: 2, handle: 0xfffffff0, kind: 'bpf', name: '' },
        { priority: 5, handle: 7, kind: 'bpf', name: 'tapbridge' },
      ]);
      expect(listClassifiers(net.netlink, index, 'egress')).toEqual([]);
      removeClassifier(net.netlink, index, listed[1]!);
      expect(listClassifiers(net.netlink, index)).toEqual([listed[0]]);
      expect(errnoOf(() => removeClassifier(net.netlink, index, listed[1]!))).toBe(ENOENT);
    });
  });

  test('the same priority and handle: the new program takes the place', () => {
    addClsact(net.netlink, index);
    for (let turn = 0; turn < 2; turn++)
      setClassifier(net.netlink, index, { priority: 1, handle: 1, program: { classic: UNSPEC } });
    expect(listClassifiers(net.netlink, index)).toHaveLength(1);
  });

  test('a program the kernel refuses changes nothing', () => {
    addClsact(net.netlink, index);
    const load = new Uint8Array(new Uint32Array([0x20, 0]).buffer);
    expect(errnoOf(() => setClassifier(net.netlink, index, { priority: 1, handle: 1, program: { classic: load } }))).toBe(EINVAL);
    expect(listClassifiers(net.netlink, index)).toEqual([]);
  });
});
