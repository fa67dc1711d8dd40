/** The table by which the worker's second thread sees the leases. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { LeaseTable } from "../dist/worker/table.js";
import { soon } from "./support/wait.js";

const NEVER = Number.POSITIVE_INFINITY;
const ids = ["00000000-0000-4000-8000-000000000001", "ffffffff-0000-4000-8000-00000000000f"] as const;

test("a row is due when it says so, and not once it is empty", () => {
  const table = LeaseTable.of(3);
  assert.deepEqual(table.due(1e12), []);
  table.put(0, { id: ids[0], leaseToken: 7, due: 100 });
  table.put(2, { id: ids[1], leaseToken: 2 ** 40, due: 50.5 });
  assert.deepEqual(table.due(60), [{ id: ids[1], leaseToken: 2 ** 40, due: 50.5 }]);
  table.setDue(2, 200);
  const other = new LeaseTable(table.memory);
  assert.deepEqual(other.due(150), [{ id: ids[0], leaseToken: 7, due: 100 }]);
  table.setDue(0, NEVER);
  assert.deepEqual(other.due(150), []);
});

/** Writes a row over and over, each time with one of two ids and the token that belongs to it. */
const WRITER = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(workerData.module).then(({ LeaseTable }) => {
    const table = new LeaseTable(workerData.memory);
    for (let round = 0; round < 300000; round += 1) {
      const of = round % 2;
      table.put(0, { id: workerData.ids[of], leaseToken: of, due: of });
    }
    parentPort.postMessage("done");
  });
`;

test("a row that is written while it is read is not taken for what it is not", async () => {
  const table = LeaseTable.of(1);
  const module = new URL("../dist/worker/table.js", import.meta.url).href;
  const writer = new Worker(WRITER, { eval: true, workerData: { module, memory: table.memory, ids } });
  const state = { isDone: false };
  const done = new Promise<void>((resolve) => {
    writer.once("message", () => {
      state.isDone = true;
      resolve();
    });
  });
  let [whole, looks] = [0, 0];
  while (!state.isDone) {
    for (let look = 0; look < 1000; look += 1) {
      looks += 1;
      for (const { id, leaseToken } of table.due(10)) {
        whole += 1;
        assert.equal(id, ids[leaseToken]);
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await soon("the end of the writer", done);
  assert.ok(whole > 0 && looks > 0, `${whole} of ${looks} looks`);
});
