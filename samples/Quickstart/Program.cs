Console.WriteLine("Flare");
