// An IPFS daemon without a network: `node daemon.mjs NODE_MODULES REPO PORT`.
import { pathToFileURL } from "node:url";

const [modules, repo, port] = process.argv.slice(2);
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};
const load = (name) => import(pathToFileURL(`${modules}/${name}/src/index.js`));
const { create } = await load("ipfs-core");
const { HttpApi } = await load("ipfs-http-server");

const ipfs = await create({
  repo,
  silent: true,
  preload: { enabled: false },
  init: { emptyRepo: true, algorithm: "Ed25519" },
  config: {
    Addresses: { Swarm: [], API: `/ip4/127.0.0.1/tcp/${port}`, Gateway: "" },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false } },
  },
});
await new HttpApi(ipfs).start();
console.log("ready");
