// Runs one conformance case on the 32-bit WebAssembly MicroPython.
// node wasm.mjs <folder of micropython.mjs> <staged folder> <case> <heap bytes>
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packageFolder, staged, name, heapsize] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(join(packageFolder, "micropython.mjs")).href);
const python = await loadMicroPython({ heapsize: Number(heapsize), stdout: (line) => console.log(line) });

function copy(from, to) {
    python.FS.mkdir(to);
    for (const entry of readdirSync(from)) {
        const source = join(from, entry);
        if (statSync(source).isDirectory()) copy(source, `${to}/${entry}`);
        else python.FS.writeFile(`${to}/${entry}`, readFileSync(source));
    }
}

copy(staged, "/staged");
try {
    python.runPython(`import sys\nsys.path.insert(0, "/staged")\nimport run_case\nrun_case.run(${JSON.stringify(name)}, "/staged")`);
} catch (error) {
    console.log(error.message);
    process.exitCode = 1;
}
