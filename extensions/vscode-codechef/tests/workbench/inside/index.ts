import "./activation.js";
import "./chat.js";
import "./tools.js";
import "./commands.js";

export { run } from "./runner.js";
