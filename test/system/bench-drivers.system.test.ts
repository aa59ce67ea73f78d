/**
 * Every driver of the bench connects its hosts for good: echoes, datagrams and a TCP stream pass unharmed, the other way round too where frames
 * pass, a spare port is there, and nothing is left behind.
 */
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Connection, type Driver, hostsOf, type SparePort } from '../../bench/system/driver.js';
import { DRIVERS } from '../../bench/system/matrix.js';
import { findProgram } from '../../bench/system/programs.js';
import { Lab } from '../../dist/lab/lab.js';
import type { LabHost } from '../../dist/lab/lab-host.js';
import { describeSystem } from '../helpers/requirements.js';

const STREAM_BYTES = 1_000_003;

async function expectTraffic(from: LabHost, to: LabHost, address: string): Promise<void> {
  const echo = await to.udpServe();
  expect(await from.udpSend({ address, port: echo.port, count: 20, payload: 1200, timeoutMillis: 5000 })).toEqual({
    sent: 20,
    answered: 20,
  });
  const server = await to.tcpServe();
  const [, received] = await Promise.all([from.tcpSend({ address, port: server.port, bytes: STREAM_BYTES }), server.result()]);
  expect(received).toMatchObject({ bytes: STREAM_BYTES, intact: true });
}

/** Neither running nor about to. */
function gone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return true;
  }
}

function describeDriver(driver: Driver): void {
  const tools = (driver.needs ?? []).map(({ command }) => `tool:${findProgram(command) ?? command}` as const);
  const engine = driver.containers === true ? (['docker'] as const) : [];
  const rights = driver.awake === true ? (['root', 'awake'] as const) : (['root'] as const);
  const packages = (driver.needs ?? []).map((need) => need.package).join(', ');
  describeSystem(
    `bench driver ${driver.name}${packages === '' ? '' : ` (${packages})`}`,
    [...rights, 'tap', ...engine, ...tools],
    () => {
      let lab: Lab;
      let a: LabHost;
      let b: LabHost;
      let spare: SparePort[];
      let connection: Connection;

      beforeEach(async () => {
        lab = Lab.create('tbdriver');
        ({ a, b } = await hostsOf(driver, lab));
        spare = driver.maxPorts > 2 ? [{ namespace: lab.namespace('spare'), ifname: 'third' }] : [];
        connection = await driver.connect(lab, { a, b, spare });
      });
      afterEach(() => lab.close());

      test('echoes, datagrams, a stream', async () => {
        const { addressOfA, addressOfB } = connection;
        if (driver.ping) expect((await a.ping({ address: addressOfB, count: 3, timeoutMillis: 3000 })).received).toBe(3);
        await expectTraffic(a, b, addressOfB);
        if (driver.layer === 2) await expectTraffic(b, a, addressOfA);
        for (const { namespace, ifname } of spare) {
          expect(namespace.interfaces().find(({ name }) => name === ifname)).toMatchObject({ up: true, lowerUp: true });
        }
      });

      test('its processes run until the lab is closed, its files go too', async () => {
        const { folder } = lab;
        expect(connection.processes.filter(gone)).toEqual([]);
        await lab.close();
        expect(connection.processes.filter((pid) => !gone(pid))).toEqual([]);
        expect(existsSync(folder)).toBe(false);
      });
    },
  );
}

for (const driver of DRIVERS) describeDriver(driver);
