/** The package as its users get it: packed, installed elsewhere, in Node and in what is no Node. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Client } from "longrun-sdk";

import { LiveServer, PACKAGE, end } from "./support/server.js";
import { finallyDo, soon } from "./support/wait.js";

const run = promisify(execFile);
/** Where the package is installed. */
let user: string;
let server: LiveServer;

before(async () => {
  server = await LiveServer.start("--workers", "0");
  user = await mkdtemp(join(tmpdir(), "longrun-user-"));
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", user], { cwd: PACKAGE });
  const packed = (await readdir(user)).find((name) => name.endsWith(".tgz"));
  await writeFile(join(user, "package.json"), '{ "type": "module", "private": true }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${packed ?? ""}`], { cwd: user });
});

after(async () => {
  await server.stop();
  await rm(user, { recursive: true, force: true });
});

/** The examples of the README, for the server of this test. */
async function examples(): Promise<string[]> {
  const text = await readFile(join(user, "node_modules/longrun-sdk/README.md"), "utf8");
  const found = [...text.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");
  return found.map((code) => code.replaceAll("http://127.0.0.1:8470", server.url));
}

/** Compiles programs strictly, with the types that the package brings; what the compiler says. */
async function compile(programs: Record<string, string>): Promise<string> {
  const names = Object.keys(programs).map((name) => `${name}.ts`);
  for (const [name, code] of Object.entries(programs)) await writeFile(join(user, `${name}.ts`), code);
  const types = ["--types", "node", "--typeRoots", join(PACKAGE, "node_modules/@types"), "--skipLibCheck"];
  const options = ["--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "nodenext"];
  const compiler = join(PACKAGE, "node_modules/typescript/bin/tsc");
  const words = [compiler, ...options, ...types, ...names];
  const compiled = run(process.execPath, words, { cwd: user }).catch((error: unknown) => error);
  return ((await compiled) as { stdout: string }).stdout;
}

test("it has no dependencies, and nothing in it but what is built and what it is built from", async () => {
  const installed = await readdir(join(user, "node_modules"));
  assert.deepEqual(
    installed.filter((name) => !name.startsWith(".")),
    ["longrun-sdk"],
  );
  const files = await readdir(join(user, "node_modules/longrun-sdk"));
  assert.deepEqual(files.sort(), ["README.md", "dist", "package.json", "src"]);
});

test("the README's examples run as they stand there", async (t) => {
  const [worker = "", schema = "", submit = "", watch = "", testing = ""] = await examples();
  const thumbnail = `const Thumbnail = { parse: (input: unknown) => input as { picture: string } };
    const makeThumbnail = async (input: { picture: string }) => ({ made: input.picture });`;
  const parsing = worker.replace("await worker.run();", `${thumbnail}\n${schema}`);
  const given = `import { Client, Worker } from "longrun-sdk";
    const [url, remind] = ["http://x", () => null];
    const client = new Client(url);`;
  const programs = { worker, parsing, submit: `${submit}${watch}`, testing: `${given}\n${testing}` };
  assert.equal(await compile(programs), "");
  const child = spawn(process.execPath, ["worker.js"], {
    cwd: user,
    stdio: ["ignore", "inherit", "inherit"],
  });
  finallyDo(t, () => end(child, "SIGKILL"));
  const { stdout } = await soon(
    "the end of the example",
    run(process.execPath, ["submit.js"], { cwd: user }),
  );
  assert.match(stdout, /^Completed cat\.png/);
  assert.equal(await end(child, "SIGTERM"), 0);
});

test("the types catch what a program gets wrong", async () => {
  const length = `import { Worker } from "longrun-sdk";
    const parse = (input: unknown) => ({ pages: Number(input) });
    new Worker("http://x").handler("a", ({ pages }) => pages.length, { parse });`;
  const status = `import type { Status } from "longrun-sdk/client"; export const status: Status = "Done";`;
  const said = await compile({ length, status });
  assert.match(said, /length\.ts.*Property 'length' does not exist on type 'number'/);
  assert.match(said, /status\.ts.*"Done"/);
});

/** Everything that a module loads, by the paths of the files. */
async function loaded(path: string, seen = new Map<string, string>()): Promise<Map<string, string>> {
  if (seen.has(path)) return seen;
  const code = await readFile(path, "utf8");
  seen.set(path, code);
  for (const [, specifier = ""] of code.matchAll(/\b(?:from|import)\s*\(?["']([^"']+)["']/g)) {
    assert.match(specifier, /^\.\.?\//, `${path} loads ${specifier}`);
    await loaded(resolve(dirname(path), specifier), seen);
  }
  return seen;
}

test("the client loads nothing but itself", async () => {
  const files = await loaded(join(user, "node_modules/longrun-sdk/dist/client/index.js"));
  assert.ok(files.size > 10, "more than one file was looked at");
  const outside = [...files.keys()].filter((path) => /\/dist\/(worker|handler)\//.test(path));
  assert.deepEqual(outside, [], "it brings nothing of the worker along");
});

/** Runs the client among the globals that browsers have, and no others. */
const BROWSER = `
  import { readFile } from "node:fs/promises";
  import vm from "node:vm";
  const names = ["fetch", "AbortController", "URL", "URLSearchParams", "TextDecoder", "TextEncoder", "performance",
    "setTimeout", "clearTimeout", "console"];
  const page = vm.createContext(Object.fromEntries(names.map((name) => [name, globalThis[name]])));
  const modules = new Map();
  async function load(url) {
    if (!modules.has(url)) {
      modules.set(url, new vm.SourceTextModule(await readFile(new URL(url), "utf8"), { context: page, identifier: url }));
    }
    return modules.get(url);
  }
  const client = await load(process.argv[2]);
  await client.link((specifier, from) => load(new URL(specifier, from.identifier).href));
  await client.evaluate();
  const { Client } = client.namespace;
  const { operation } = await new Client(process.argv[3]).submit({ operationType: "nobodys" });
  await new Client(process.argv[3]).cancel(operation.id);
  for await (const event of new Client(process.argv[3]).watch(operation.id)) console.log(operation.id, event.event);
`;

test("the client works where there is no Node", async () => {
  await writeFile(join(user, "browser.mjs"), BROWSER);
  const client = new URL(`file://${join(user, "node_modules/longrun-sdk/dist/client/index.js")}`).href;
  const words = ["--experimental-vm-modules", "--no-warnings", "browser.mjs", client, server.url];
  const { stdout } = await run(process.execPath, words, { cwd: user });
  const [id = "", event] = stdout.trim().split(" ");
  assert.equal(event, "snapshot");
  assert.equal((await new Client(server.url).get(id)).operation.error?.code, "canceled");
});
