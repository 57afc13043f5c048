using Flare.Testing;
using Flare.Tests.Rig.Workloads;

namespace Flare.Tests.Rig;

/// <summary>States of sites under attack: crashes of server and sites, torn and failing writes.</summary>
public class SiteStateSeedTests
{
    [TestCase("state", 200)]
    [TestCase("calm-state", 30)]
    public void A_task_finds_what_the_sites_last_used_answer_left(string workload, int seeds)
    {
        var (crashes, torn) = (0, 0L);
        for (var seed = 1UL; seed <= (ulong)seeds; seed++)
        {
            var run = Workload.Named(workload).Create(seed).Run();
            Assert.That(run.Failures, Is.Empty, run.ToString());
            crashes += run.Statistics.SiteCrashes;
            torn += run.Statistics.TornWrites;
        }
        if (workload != "calm-state") Assert.That((crashes, torn), Is.GreaterThan((100, 100L)), "nothing was attacked");
    }

    [Test]
    public void A_site_that_starts_again_with_an_empty_disk_is_found_out()
    {
        // The rig's own test: what a site must not do, and the oracle says so.
        for (var seed = 1UL; seed < 100; seed++)
        {
            var run = (Workload.Named("state").Create(seed) with { SitesHaveDisks = false }).Run();
            if (run.IsSuccess) continue;
            Assert.That(run.Failures, Has.Some.Contains("where its used answer before left"));
            return;
        }
        Assert.Fail("No seed found it.");
    }
}
