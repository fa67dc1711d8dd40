/** A worker whose handler keeps the event loop busy for as many seconds as its input says. */

import { Worker } from "longrun-sdk";

function compute(seconds: number): string {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end);
  return "computed";
}

const worker = new Worker(process.env["LONGRUN_URL"] ?? "", { leaseSeconds: 1 }).handler("compute", compute);
process.stdout.write("ready\n");
await worker.run();
