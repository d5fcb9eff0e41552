// An IPFS daemon: `node daemon.mjs NODE_MODULES REPO PORT [SWARM_PORT]`; without a port of its own
// for others it has no network. It looks for nobody: others are connected by its RPC.
import { pathToFileURL } from "node:url";

const [modules, repo, port, swarm] = process.argv.slice(2);
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};
// Bitswap rejects what nobody waits for when a client gives a request up, which would end the process.
process.on("unhandledRejection", (error) => console.error(error));
const load = (name) => import(pathToFileURL(`${modules}/${name}/src/index.js`));
const { create } = await load("ipfs-core");
const { HttpApi } = await load("ipfs-http-server");

const ipfs = await create({
  repo,
  silent: true,
  preload: { enabled: false },
  init: { emptyRepo: true, algorithm: "Ed25519" },
  config: {
    Addresses: { Swarm: swarm ? [`/ip4/127.0.0.1/tcp/${swarm}`] : [], API: `/ip4/127.0.0.1/tcp/${port}`, Gateway: "" },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false } },
  },
});
await new HttpApi(ipfs).start();
console.log("ready");
