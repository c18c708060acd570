/** What a conversion to GGUF made, and how it is used. */

import {
  type BesideParent,
  type ConversionResult,
  type JobReport,
  type ModelFile,
} from "@codechef/client";
import type { JSX } from "preact";

import { useHost } from "../context.js";
import { bytes, latency, number, words } from "../format.js";
import { Loaded } from "../loaded.js";
import { CopyButton, JobLink, Meter, Name, State, Table, Text, WebLink } from "../parts/index.js";
import { useJob } from "./job/index.js";

export function Gguf(): JSX.Element {
  const { params } = useHost();
  const job = useJob(params["job_id"] ?? "");
  return (
    <Loaded of={job}>
      {(report) => (
        <>
          <Standing report={report} />
          {report.conversion === null ? (
            <p class="empty">There is no file yet.</p>
          ) : (
            <Made made={report.conversion} />
          )}
        </>
      )}
    </Loaded>
  );
}

function Standing({ report }: { report: JobReport }): JSX.Element {
  const { job_id, status, message, progress_pct } = report;
  return (
    <>
      <p class="job-line">
        <State of={status} />
        <JobLink job_id={job_id} />
      </p>
      {progress_pct === null || status === "completed" ? null : (
        <Meter label="Progress" percent={progress_pct} />
      )}
      {message === "" || message === status ? null : <Text>{message}</Text>}
    </>
  );
}

function Made({ made }: { made: ConversionResult }): JSX.Element {
  const { model, source, quantization, files, parameters, hub_url, not_published } = made;
  return (
    <>
      <dl class="facts">
        <div class="long">
          <dt>Model</dt>
          <dd>
            <Name>{model}</Name>
          </dd>
        </div>
        <div>
          <dt>Made from</dt>
          <dd>
            <Name>{source}</Name>
          </dd>
        </div>
        <div>
          <dt>Quantization</dt>
          <dd>{quantization}</dd>
        </div>
        <div>
          <dt>Parameters</dt>
          <dd>{number(parameters)}</dd>
        </div>
        <div>
          <dt>Published</dt>
          <dd>
            {hub_url === null ? <Text>{not_published ?? "–"}</Text> : <WebLink url={hub_url} />}
          </dd>
        </div>
      </dl>
      <Files files={files} folder={made.folder} />
      <Usage usage={made.usage} />
      <Beside made={made} />
    </>
  );
}

function Files({ files, folder }: { files: ModelFile[]; folder: string }): JSX.Element {
  return (
    <section>
      <h2>Files</h2>
      <p class="job-line">
        <span class="soft">in</span> <Text>{folder}</Text>
        <CopyButton text={folder} of="the folder" />
      </p>
      <Table
        caption="Files"
        hideCaption
        rows={files}
        id={({ path }) => path}
        columns={[
          { title: "File", cell: ({ path }) => <Name>{path}</Name> },
          { title: "Size", numeric: true, cell: (file) => bytes(file.bytes) },
          {
            title: "SHA-256",
            cell: ({ path, sha256 }) => (
              <>
                <code class="digest">{sha256}</code>
                <CopyButton text={sha256} of={`the digest of ${path}`} />
              </>
            ),
          },
        ]}
      />
    </section>
  );
}

function Usage({ usage }: { usage: ConversionResult["usage"] }): JSX.Element {
  return (
    <section>
      <h2>How to use it</h2>
      {Object.entries(usage).map(([program, text]) => (
        <section key={program} aria-label={program}>
          <h3>
            <bdi>{words(program)}</bdi> <CopyButton text={text} of={`what ${program} needs`} />
          </h3>
          <Text code long={4_000}>
            {text}
          </Text>
        </section>
      ))}
    </section>
  );
}

/** The file beside the model that it was made from. */
function Beside({ made }: { made: ConversionResult }): JSX.Element | null {
  const { beside_parent, not_evaluated, tokenizer_checks } = made;
  const [equal, checked] = tokenizer_checks;
  return (
    <section>
      <h2>Beside the model it was made from</h2>
      {beside_parent === null ? null : <Comparison of={beside_parent} />}
      {not_evaluated === null ? null : <Text>{not_evaluated}</Text>}
      <p>
        Texts that both turn into the same tokens: {number(equal)} of {number(checked)}.
      </p>
    </section>
  );
}

function Comparison({ of }: { of: BesideParent }): JSX.Element {
  const { dataset, n_examples, answers_equal, answers_compared, latency_ms, bytes: sizes } = of;
  return (
    <>
      <p>
        On {number(n_examples)} examples of <Name>{dataset}</Name>: {number(answers_equal)} of{" "}
        {number(answers_compared)} answers are equal.
      </p>
      <Table
        caption="The file and its parent"
        hideCaption
        rows={[
          { name: "Parent", at: 0 },
          { name: "GGUF", at: 1 },
        ]}
        id={({ name }) => name}
        columns={[
          { title: "Model", cell: ({ name }) => name },
          { title: "Size", numeric: true, cell: ({ at }) => bytes(sizes[at]) },
          { title: "Latency", numeric: true, cell: ({ at }) => latency(latency_ms[at]) },
        ]}
      />
    </>
  );
}
