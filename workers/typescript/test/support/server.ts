/** The real server, in a temporary directory and on a free port. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { soon } from "./wait.js";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** This package. */
export const PACKAGE = join(ROOT, "workers/typescript");

function binary(): string {
  const target = process.env["CARGO_TARGET_DIR"] ?? join(ROOT, "target");
  const path = process.env["LONGRUN_BIN"] ?? join(target, "debug/longrun");
  if (!existsSync(path)) throw new Error(`there is no server at ${path}: cargo build, or set LONGRUN_BIN`);
  return path;
}

export class LiveServer {
  private constructor(
    readonly url: string,
    private readonly process: ChildProcess,
    private readonly directory: string,
  ) {}

  static start(...options: string[]): Promise<LiveServer> {
    return LiveServer.of("serve", ...options);
  }

  /** One whose clock is set ahead by `Client.advanceClock`. */
  static withTestClock(): Promise<LiveServer> {
    return LiveServer.of("dev", "--test-clock", "--workers", "0");
  }

  private static async of(subcommand: string, ...options: string[]): Promise<LiveServer> {
    const directory = await mkdtemp(join(tmpdir(), "longrun-typescript-"));
    const data = subcommand === "serve" ? ["--data", join(directory, "data")] : [];
    const words = [subcommand, "--listen", "127.0.0.1:0", ...data, ...options];
    const server = spawn(binary(), words, { stdio: ["ignore", "pipe", "inherit"] });
    const url = await soon("the server's address", firstMatch(server, /http:\/\/[^\s"]+/));
    return new LiveServer(url, server, directory);
  }

  async stop(): Promise<void> {
    await end(this.process, "SIGKILL");
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Waits until what a process prints has something in it. */
export async function firstMatch(child: ChildProcess, pattern: RegExp): Promise<string> {
  let text = "";
  const { stdout } = child;
  if (!stdout) throw new Error("its output is not ours to read");
  for await (const piece of stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    text += piece as string;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) {
      stdout.resume();
      return found;
    }
  }
  throw new Error(`it ended without a word of ${String(pattern)}: ${text}`);
}

/** Sends a signal to a process, where it needs one, and waits for its end; its exit code, if it had one. */
export async function end(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, "exit");
    if (signal) child.kill(signal);
    await soon("the end of a process", exit);
  }
  return child.exitCode;
}
