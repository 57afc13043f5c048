namespace Flare.Reporting;

public sealed partial class HtmlReport
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#d7dce4;--a:#2563eb;--b:#d97706;--c:#059669;--bad:#dc2626;--paper:#fff}
        @media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#98a2b3;--line:#344054;--a:#60a5fa;--b:#fbbf24;--c:#34d399;--bad:#f87171;--paper:#12161c}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2rem auto;padding:0 1rem}
        h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p,dt,figcaption{color:var(--soft)}
        h1,th,td,p,figcaption,pre{overflow-wrap:anywhere}
        dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0 0 1.5rem}dt{font-size:.8rem}
        dd{margin:0;font-weight:600;overflow-wrap:anywhere}
        .bad-end{color:var(--bad)}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:1rem}
        figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.75rem}figure p{margin:0;font-size:.8rem}
        svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}.axis{stroke:var(--line)}
        .s0{stroke:var(--a);fill:var(--a)}.s1{stroke:var(--b);fill:var(--b)}.s2{stroke:var(--c);fill:var(--c)}
        polyline{fill:none!important;stroke-width:2}
        .key{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin:0 .3em 0 .2em}
        .key~.key{margin-left:.2em}figure .key~.key{margin-left:1em}.k0{background:var(--a)}.k1{background:var(--b)}
        .k2{background:var(--c)}
        table{border-collapse:collapse}
        .grid th,.grid td{text-align:left;font-weight:400;vertical-align:top;padding:0 .75rem .25rem 0}
        .grid .sum,.one{white-space:nowrap}.grid .sum{color:var(--soft)}
        .cells span{display:inline-block;width:14px;height:14px;margin:4px 2px 0 0;vertical-align:top}
        .cells{line-height:0}
        .ok{background:color-mix(in srgb,var(--a) calc(var(--share)*100%),var(--paper))}.bad{background:var(--bad)}
        .rows{width:100%}
        .rows th,.rows td{text-align:left;vertical-align:top;border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0}
        .rows th{overflow-wrap:normal}.name{min-width:5em}pre{white-space:pre-wrap;font-size:12px}
        @media(max-width:640px){.wrong tr{display:flex;flex-wrap:wrap;gap:0 .75rem;border-bottom:1px solid var(--line)}
        .wrong th,.wrong td{border:0;padding:.15rem 0}.wrong td:last-child{width:100%}}
        """;
}
