(* Exact recovery at m >= 2 hangs on the scales of the samples: the law has full support, m is any.

   At a minimiser (D, Y) of L_ND the pull on each atom,
     sum_n t_jn,   t_jn = y_jn sum_{l >= j} p_l (x_n - D Lambda_l y_n),
   is 0 (the_pull_is_balanced). If all pulls of one sample vanish, it lies on one atom
   (a_sample_off_the_atoms_pulls): its last active slot gives x = D z and the one before it
   (w_a - w_b) z_b d_b = 0. Codes that suit x suit alpha x when scaled alike, and then pulls scale
   with alpha^2. So for codes Y, a sample off the atoms, and the other samples' scales held fixed,
   at most one scale of it leaves (D, Y) a minimiser (one_scale_at_most). Best codes at D are finitely
   many, one a support; so the scales at which D is in a minimiser form a set of measure zero. That
   last step, Fubini's theorem, is not formalised. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Rays IdentitySparse.
Open Scope R_scope.

Definition minimises_over_codes (d K N m : nat) (p : vec) (X D Y : mat) : Prop :=
  unit_norm d K D /\ sparse_columns K N m Y /\
  forall D' Y', unit_norm d K D' -> sparse_columns K N m Y' ->
  nested_code_loss d K N p X D Y <= nested_code_loss d K N p X D' Y'.

(* sum_{l >= j} p_l (x - D Lambda_l y), and the pull of a sample on atom j. *)
Definition late_residual (K : nat) (p : vec) (D : mat) (x y : vec) (j : nat) : vec :=
  fun i => sum K (fun k => (if (j <=? k)%nat then p k else 0) * residual D (S k) x y i).
Definition pull (K : nat) (p : vec) (D : mat) (x y : vec) (j : nat) : vec :=
  fun i => y j * late_residual K p D x y j i.

(* A dictionary without atom j, and with another in its place. *)
Definition without (D : mat) (j : nat) : mat := fun i k => if (k =? j)%nat then 0 else D i k.
Definition replaced (D : mat) (j : nat) (u : vec) : mat := fun i k => if (k =? j)%nat then u i else D i k.

Lemma residual_without D l x y j i :
  residual D l x y i
  = residual (without D j) l x y i - (if (j <? l)%nat then y j else 0) * D i j.
Proof.
  unfold residual, without.
  rewrite (sum_ext l (fun k => D i k * y k) (fun k => (if (k =? j)%nat then 0 else D i k) * y k
    + (if (k =? j)%nat then D i k * y k else 0))) by (intros; destruct (_ =? _)%nat; ring).
  rewrite sum_plus. destruct (Nat.ltb_spec j l) as [L|L].
  - rewrite (sum_single l j (fun k => if (k =? j)%nat then _ else 0)), Nat.eqb_refl; auto; [ring|].
    intros k _ N. now apply Nat.eqb_neq in N as ->.
  - rewrite (sum_zero l (fun k => if (k =? j)%nat then _ else 0)); [ring|].
    intros k Hk. now replace (k =? j)%nat with false by (symmetry; apply Nat.eqb_neq; lia).
Qed.

(* The loss of a sample in d_j and y_j, all else fixed. *)
Lemma sample_loss_in_one_atom d K p D x y j :
  sample_loss d K p D x y = sample_loss d K p (without D j) x y
  + survival K p j * (y j * y j) * norm2 d (col D j)
  - 2 * (y j * dot d (col D j) (late_residual K p (without D j) x y j)).
Proof.
  unfold sample_loss, survival.
  assert (Late : dot d (col D j) (late_residual K p (without D j) x y j) = sum K (fun k =>
    (if (j <=? k)%nat then p k else 0) * dot d (col D j) (residual (without D j) (S k) x y))).
  { unfold dot, late_residual. rewrite (sum_ext d _ (fun i => sum K (fun k =>
      (if (j <=? k)%nat then p k else 0) * (col D j i * residual (without D j) (S k) x y i)))).
    - rewrite sum_swap. apply sum_ext; intros k _. now rewrite sum_scal.
    - intros i _. rewrite <- sum_scal. apply sum_ext; intros; ring. }
  rewrite Late, <- !sum_scal_r, <- !sum_scal, <- sum_plus, <- sum_minus.
  apply sum_ext; intros k Hk.
  replace (norm2 d (residual D (S k) x y)) with (norm2 d (fun i =>
    residual (without D j) (S k) x y i - (if (j <? S k)%nat then y j else 0) * col D j i)).
  - rewrite norm2_step. change (j <? S k)%nat with (j <=? k)%nat. destruct (j <=? k)%nat; ring.
  - apply norm2_ext; intros i _. now rewrite (residual_without D (S k) x y j).
Qed.

Lemma without_replaced D j u i k : without (replaced D j u) j i k = without D j i k.
Proof. unfold without, replaced. now destruct (k =? j)%nat. Qed.

Lemma residual_dictionary_ext D D' l x y i :
  (forall k, D i k = D' i k) -> residual D l x y i = residual D' l x y i.
Proof. intros H. unfold residual. f_equal. apply sum_ext; intros. now rewrite H. Qed.

Lemma sample_loss_replaced d K p D x y j u :
  sample_loss d K p (replaced D j u) x y = sample_loss d K p (without D j) x y
  + survival K p j * (y j * y j) * norm2 d u
  - 2 * (y j * dot d u (late_residual K p (without D j) x y j)).
Proof.
  rewrite (sample_loss_in_one_atom d K p (replaced D j u) x y j).
  assert (C : forall i, col (replaced D j u) j i = u i)
    by (intros; unfold col, replaced; now rewrite Nat.eqb_refl).
  f_equal; [f_equal|f_equal; f_equal].
  - apply sum_ext; intros k _. f_equal. apply norm2_ext; intros i _.
    apply residual_dictionary_ext; intros. apply without_replaced.
  - f_equal. apply norm2_ext; auto.
  - apply sum_ext; intros i _. rewrite C. f_equal. apply sum_ext; intros k _. f_equal.
    apply residual_dictionary_ext; intros. apply without_replaced.
Qed.

(* The vector that the unit atom d_j has to align with. *)
Definition target (K N : nat) (p : vec) (X D Y : mat) (j : nat) : vec :=
  fun i => sum N (fun n => Y j n * late_residual K p (without D j) (col X n) (col Y n) j i).

Lemma dot_target d K N p X D Y j u :
  sum N (fun n => Y j n * dot d u (late_residual K p (without D j) (col X n) (col Y n) j))
  = dot d u (target K N p X D Y j).
Proof.
  unfold dot, target.
  rewrite (sum_ext N _ (fun n => sum d (fun i =>
    u i * (Y j n * late_residual K p (without D j) (col X n) (col Y n) j i)))).
  - rewrite sum_swap. apply sum_ext; intros i _. now rewrite sum_scal.
  - intros n _. rewrite <- sum_scal. apply sum_ext; intros; ring.
Qed.

Lemma aligned_with_target d K N m p X D Y j u :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> norm2 d u = 1 ->
  dot d u (target K N p X D Y j) <= dot d (col D j) (target K N p X D Y j).
Proof.
  intros [U [S M]] Hj Hu.
  assert (U' : unit_norm d K (replaced D j u)).
  { intros k Hk. destruct (Nat.eq_dec k j) as [->|E].
    - rewrite <- Hu. apply norm2_ext; intros. unfold col, replaced. now rewrite Nat.eqb_refl.
    - rewrite <- (U k Hk). apply norm2_ext; intros. unfold col, replaced.
      now apply Nat.eqb_neq in E as ->. }
  specialize (M _ Y U' S). rewrite !nested_code_loss_by_samples in M.
  rewrite (sum_ext N (fun n => sample_loss d K p (replaced D j u) _ _) (fun n =>
    sample_loss d K p D (col X n) (col Y n)
    + 2 * (Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j))
    - 2 * (Y j n * dot d u (late_residual K p (without D j) (col X n) (col Y n) j)))) in M.
  - rewrite sum_minus, sum_plus, !sum_scal, !dot_target in M. lra.
  - intros n _. rewrite sample_loss_replaced, (sample_loss_in_one_atom d K p D _ _ j), Hu, (U j Hj).
    change (col Y n j) with (Y j n). ring.
Qed.

(* A unit vector that no unit vector outdoes along h is h's direction. *)
Lemma best_direction d u h : norm2 d u = 1 ->
  (forall v, norm2 d v = 1 -> dot d v h <= dot d u h) ->
  forall i, (i < d)%nat -> h i = dot d u h * u i.
Proof.
  intros Hu M i Hi. apply Rminus_diag_uniq.
  assert (Z : sum d (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i)) = 0).
  { apply Rle_antisym; [|apply sum_nonneg; intros; apply Rle_0_sqr].
    assert (E : sum d (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i))
      = norm2 d h - dot d u h * dot d u h).
    { pose proof (norm2_step d h (dot d u h) u) as St. rewrite Hu in St.
      unfold norm2 at 1, dot at 1 in St. rewrite St. ring. }
    rewrite E. destruct (Rle_lt_dec (norm2 d h) 0) as [L|L]; [pose proof (Rle_0_sqr (dot d u h)) as Q;
      unfold Rsqr in Q; lra|].
    pose proof (sqrt_lt_R0 _ L) as P. pose proof (sqrt_sqrt (norm2 d h) ltac:(lra)) as SS.
    set (r := sqrt (norm2 d h)) in *.
    assert (V : norm2 d (fun i => h i / r) = 1).
    { unfold norm2, dot. rewrite (sum_ext d _ (fun i => / (r * r) * (h i * h i)))
        by (intros; field; lra). rewrite sum_scal. fold (dot d h h). fold (norm2 d h).
      rewrite <- SS. field. lra. }
    assert (B : dot d (fun i => h i / r) h = r).
    { unfold dot. rewrite (sum_ext d _ (fun i => / r * (h i * h i))) by (intros; field; lra).
      rewrite sum_scal. fold (dot d h h). fold (norm2 d h). rewrite <- SS. field. lra. }
    pose proof (M _ V) as B'. rewrite B in B'. nra. }
  pose proof (sum_term_le d i (fun i => (h i - dot d u h * u i) * (h i - dot d u h * u i)) Hi
    ltac:(intros; apply Rle_0_sqr)) as T. rewrite Z in T. cbv beta in T. nra.
Qed.

(* Each code is the best one on its support. *)
Lemma best_code d K N m p X D Y j n :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> (n < N)%nat ->
  survival K p j * (Y j n * Y j n)
  = Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j).
Proof.
  intros [U [Sp M]] Hj Hn. destruct (Req_EM_T (Y j n) 0) as [Z|Z]; [rewrite Z; ring|].
  set (q := dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j)).
  assert (Q : forall e, 0 <= survival K p j * (e * e + 2 * e * Y j n) - 2 * e * q).
  { intros e.
    set (Y' := fun k l => if ((k =? j) && (l =? n))%nat%bool then Y j n + e else Y k l).
    assert (Sp' : sparse_columns K N m Y').
    { intros l Hl. destruct (Sp l Hl) as [s [L H]]. exists s. split; auto.
      intros k Hk Nz. apply H; auto. unfold col, Y' in *.
      destruct (Nat.eqb_spec k j), (Nat.eqb_spec l n); simpl in Nz; subst; auto. }
    specialize (M D Y' U Sp'). rewrite !nested_code_loss_by_samples in M.
    rewrite (sum_ext N (fun l => sample_loss d K p D (col X l) (col Y' l)) (fun l =>
      sample_loss d K p D (col X l) (col Y l) + (if (l =? n)%nat then
        survival K p j * (e * e + 2 * e * Y j n) - 2 * e * q else 0))) in M.
    - rewrite sum_plus, (sum_single N n (fun l => if (l =? n)%nat then _ else 0)), Nat.eqb_refl in M;
        auto; [lra|]. intros l _ E. now apply Nat.eqb_neq in E as ->.
    - intros l _. destruct (Nat.eqb_spec l n) as [->|E].
      + rewrite (sample_loss_in_one_atom d K p D _ (col Y' n) j),
          (sample_loss_in_one_atom d K p D _ (col Y n) j), (U j Hj).
        assert (Same : forall k i, residual (without D j) k (col X n) (col Y' n) i
          = residual (without D j) k (col X n) (col Y n) i).
        { intros k i. unfold residual. f_equal. apply sum_ext; intros h _.
          unfold without, col, Y'. destruct (h =? j)%nat; simpl; ring. }
        replace (sample_loss d K p (without D j) (col X n) (col Y' n))
          with (sample_loss d K p (without D j) (col X n) (col Y n))
          by (apply sum_ext; intros k _; f_equal; apply norm2_ext; intros; now rewrite Same).
        replace (dot d (col D j) (late_residual K p (without D j) (col X n) (col Y' n) j)) with q.
        * fold q. unfold col, Y'. rewrite !Nat.eqb_refl. simpl. ring.
        * apply sum_ext; intros i _. f_equal. apply sum_ext; intros k _. now rewrite Same.
      + rewrite Rplus_0_r. apply sum_ext; intros k _. f_equal. apply norm2_ext; intros i _.
        unfold residual. f_equal. apply sum_ext; intros h _. unfold col, Y'.
        apply Nat.eqb_neq in E. rewrite E, Bool.andb_false_r. reflexivity. }
  enough (survival K p j * Y j n = q) as <- by ring.
  set (w := survival K p j) in *. set (y := Y j n) in *.
  apply Rminus_diag_uniq. set (g := w * y - q).
  assert (Q' : forall e, 0 <= w * (e * e) + 2 * e * g) by (intros e; pose proof (Q e); unfold g; lra).
  destruct (Req_EM_T g 0) as [|G]; auto. exfalso.
  assert (G2 : 0 < g * g) by nra. pose proof (Q' (- g)) as Q1.
  assert (W : 2 <= w) by nra. pose proof (Q' (- g / w)) as Q2.
  replace (w * (- g / w * (- g / w)) + 2 * (- g / w) * g) with (- (g * g) / w) in Q2 by (field; lra).
  pose proof (Rmult_lt_0_compat (g * g) (/ w) G2 ltac:(apply Rinv_0_lt_compat; lra)). lra.
Qed.

Lemma late_residual_without K p D x y j i :
  late_residual K p D x y j i
  = late_residual K p (without D j) x y j i - survival K p j * y j * D i j.
Proof.
  unfold late_residual, survival.
  rewrite (sum_ext K _ (fun k => (if (j <=? k)%nat then p k else 0)
    * residual (without D j) (S k) x y i - (if (j <=? k)%nat then p k else 0) * (y j * D i j))).
  - rewrite sum_minus, sum_scal_r. ring.
  - intros k _. rewrite (residual_without D (S k) x y j).
    change (j <? S k)%nat with (j <=? k)%nat. destruct (j <=? k)%nat; ring.
Qed.

Theorem the_pull_is_balanced d K N m p X D Y j i :
  minimises_over_codes d K N m p X D Y -> (j < K)%nat -> (i < d)%nat ->
  sum N (fun n => pull K p D (col X n) (col Y n) j i) = 0.
Proof.
  intros M Hj Hi. pose proof (proj1 M) as U.
  assert (T : target K N p X D Y j i = dot d (col D j) (target K N p X D Y j) * D i j).
  { apply (best_direction d (col D j) (target K N p X D Y j)); auto.
    intros v Hv. now apply (aligned_with_target d K N m). }
  rewrite (sum_ext N _ (fun n => Y j n * late_residual K p (without D j) (col X n) (col Y n) j i
    - survival K p j * (Y j n * Y j n) * D i j)).
  - rewrite sum_minus. fold (target K N p X D Y j i). rewrite T, sum_scal_r, <- dot_target.
    rewrite (sum_ext N (fun n => survival K p j * (Y j n * Y j n)) (fun n =>
      Y j n * dot d (col D j) (late_residual K p (without D j) (col X n) (col Y n) j))); [ring|].
    intros n Hn. now apply (best_code d K N m p X D Y).
  - intros n _. unfold pull. rewrite late_residual_without. change (col Y n j) with (Y j n). ring.
Qed.

(* The last index at which z is not 0, among the first K. *)
Lemma last_active K (z : vec) :
  (forall j, (j < K)%nat -> z j = 0) \/
  exists b, (b < K)%nat /\ z b <> 0 /\ forall j, (b < j < K)%nat -> z j = 0.
Proof.
  induction K as [|K IH]; [left; intros; lia|].
  destruct (Req_EM_T (z K) 0) as [Z|Z].
  - destruct IH as [H|[b [Hb [Nz H]]]].
    + left. intros j Hj. destruct (Nat.eq_dec j K) as [->|]; auto. apply H; lia.
    + right. exists b. repeat split; auto. intros j Hj.
      destruct (Nat.eq_dec j K) as [->|]; auto. apply H; lia.
  - right. exists K. repeat split; auto. intros; lia.
Qed.

Lemma survival_positive K p j : full_support K p -> (j < K)%nat -> 0 < survival K p j.
Proof.
  intros [P _] Hj. apply Rlt_le_trans with (p j); auto. unfold survival.
  pose proof (sum_term_le K j (fun k => if (j <=? k)%nat then p k else 0) Hj) as T.
  cbv beta in T. rewrite Nat.leb_refl in T. apply T. intros k Hk. destruct (j <=? k)%nat; [apply Rlt_le; auto|lra].
Qed.

Lemma survival_step K p a b : full_support K p -> (a < b < K)%nat ->
  survival K p b < survival K p a.
Proof.
  intros [P S] H. assert (Pa : 0 < p a) by (apply P; lia).
  apply Rlt_le_trans with (survival K p b + p a); [lra|]. unfold survival.
  replace (p a) with (sum K (fun k => if (k =? a)%nat then p a else 0)).
  - rewrite <- sum_plus. apply sum_le; intros k Hk.
    destruct (Nat.leb_spec b k), (Nat.leb_spec a k), (Nat.eqb_spec k a); subst; try lia; try lra.
    pose proof (P k Hk). lra.
  - rewrite (sum_single K a), Nat.eqb_refl; auto; [lia|].
    intros k _ N. now apply Nat.eqb_neq in N as ->.
Qed.

(* A prefix that reaches the last active atom has the whole residual. *)
Lemma residual_late K D x z b k i : (b <= k < K)%nat -> (forall j, (b < j < K)%nat -> z j = 0) ->
  residual D (S k) x z i = residual D K x z i.
Proof.
  intros H Z. unfold residual. f_equal. rewrite (sum_prefix K (S k)) by lia.
  apply sum_ext; intros j Hj. destruct (Nat.ltb_spec j (S k)); auto. rewrite Z by lia. ring.
Qed.

Theorem a_sample_off_the_atoms_pulls d K p D x z :
  full_support K p -> unit_norm d K D ->
  (forall j i, (j < K)%nat -> (i < d)%nat -> pull K p D x z j i = 0) ->
  (forall j, (j < K)%nat -> z j = 0) \/
  exists b, (b < K)%nat /\ forall i, (i < d)%nat -> x i = z b * D i b.
Proof.
  intros P U H. destruct (last_active K z) as [Z|[b [Hb [Zb Lb]]]]; auto. right. exists b.
  split; auto.
  (* The last active slot: x = D z. *)
  assert (R : forall i, (i < d)%nat -> residual D K x z i = 0).
  { intros i Hi. pose proof (H b i Hb Hi) as Pb. unfold pull in Pb.
    apply Rmult_integral in Pb as [Pb|Pb]; [contradiction|]. unfold late_residual in Pb.
    rewrite (sum_ext K _ (fun k => (if (b <=? k)%nat then p k else 0) * residual D K x z i)) in Pb.
    - rewrite sum_scal_r in Pb. pose proof (survival_positive K p b P Hb) as W.
      unfold survival in W. apply Rmult_integral in Pb as [Pb|Pb]; auto. lra.
    - intros k Hk. destruct (Nat.leb_spec b k); [|ring]. f_equal. now apply (residual_late K D x z b). }
  destruct (last_active b z) as [Z|[a [Ha [Za La]]]].
  - intros i Hi. pose proof (R i Hi) as Ri. unfold residual in Ri.
    rewrite (sum_single K b) in Ri; [lra|auto|]. intros j Hj N.
    destruct (lt_dec j b); [rewrite Z by lia|rewrite Lb by lia]; ring.
  - (* The one before it: (w_a - w_b) z_b d_b = 0, which is impossible. *)
    exfalso.
    assert (Zero : forall i, (i < d)%nat -> D i b = 0).
    { intros i Hi. pose proof (H a i ltac:(lia) Hi) as Pa. unfold pull in Pa.
      apply Rmult_integral in Pa as [Pa|Pa]; [contradiction|]. unfold late_residual in Pa.
      rewrite (sum_ext K _ (fun k => ((if (a <=? k)%nat then p k else 0)
        - (if (b <=? k)%nat then p k else 0)) * (z b * D i b))) in Pa.
      - rewrite sum_scal_r, sum_minus in Pa. fold (survival K p a) in Pa. fold (survival K p b) in Pa.
        pose proof (survival_step K p a b P ltac:(lia)) as W.
        apply Rmult_integral in Pa as [Pa|Pa]; [lra|].
        apply Rmult_integral in Pa as [Pa|Pa]; [contradiction|exact Pa].
      - intros k Hk. destruct (Nat.leb_spec b k) as [B|B].
        + rewrite (residual_late K D x z b), R by auto. destruct (Nat.leb_spec a k); [ring|lia].
        + destruct (Nat.leb_spec a k) as [A|A]; [|ring].
          replace (residual D (S k) x z i) with (residual D K x z i + z b * D i b);
            [rewrite R by auto; ring|].
          unfold residual. rewrite (sum_prefix K (S k)) by lia.
          rewrite (sum_ext K (fun j => D i j * z j) (fun j =>
            (if (j <? S k)%nat then D i j * z j else 0) + (if (j =? b)%nat then D i b * z b else 0))).
          * rewrite sum_plus, (sum_single K b (fun j => if (j =? b)%nat then _ else 0)),
              Nat.eqb_refl; auto; [ring|]. intros j _ N. now apply Nat.eqb_neq in N as ->.
          * intros j Hj. destruct (Nat.ltb_spec j (S k)), (Nat.eqb_spec j b); subst; try lia; try ring.
            destruct (lt_dec j b); [rewrite La by lia|rewrite Lb by lia]; ring. }
    pose proof (U b Hb) as N. unfold norm2, dot in N. rewrite sum_zero in N; [lra|].
    intros i Hi. unfold col. rewrite Zero; auto. ring.
Qed.

(* Samples and codes scaled alike. *)
Definition scaled (A : mat) (alpha : vec) : mat := fun i n => alpha n * A i n.

Lemma scaled_pull K p D X Y alpha n j i :
  pull K p D (col (scaled X alpha) n) (col (scaled Y alpha) n) j i
  = alpha n * alpha n * pull K p D (col X n) (col Y n) j i.
Proof.
  unfold pull, late_residual, col, scaled.
  replace (sum K (fun k => (if (j <=? k)%nat then p k else 0) *
      residual D (S k) (fun i => alpha n * X i n) (fun i => alpha n * Y i n) i))
    with (alpha n * sum K (fun k => (if (j <=? k)%nat then p k else 0) *
      residual D (S k) (fun i => X i n) (fun i => Y i n) i)); [ring|].
  rewrite <- sum_scal. apply sum_ext; intros k _. unfold residual.
  replace (sum (S k) (fun h => D i h * (alpha n * Y h n)))
    with (alpha n * sum (S k) (fun h => D i h * Y h n))
    by (rewrite <- sum_scal; apply sum_ext; intros; ring). ring.
Qed.

Theorem one_scale_at_most d K N m p X D Y alpha beta n :
  full_support K p -> (n < N)%nat ->
  (exists j, (j < K)%nat /\ Y j n <> 0) ->
  (forall b, (b < K)%nat -> exists i, (i < d)%nat /\ X i n <> Y b n * D i b) ->
  0 <= alpha n -> 0 <= beta n -> (forall l, (l < N)%nat -> l <> n -> alpha l = beta l) ->
  minimises_over_codes d K N m p (scaled X alpha) D (scaled Y alpha) ->
  minimises_over_codes d K N m p (scaled X beta) D (scaled Y beta) ->
  alpha n = beta n.
Proof.
  intros P Hn [j0 [Hj0 Nz]] Off A B Same MA MB.
  destruct (Req_EM_T (alpha n) (beta n)) as [|Ne]; auto. exfalso.
  destruct (a_sample_off_the_atoms_pulls d K p D (col X n) (col Y n) P (proj1 MA)) as [Z|[b [Hb H]]].
  - intros j i Hj Hi.
    pose proof (the_pull_is_balanced d K N m p _ D _ j i MA Hj Hi) as SA.
    pose proof (the_pull_is_balanced d K N m p _ D _ j i MB Hj Hi) as SB.
    assert (Diff : (alpha n * alpha n - beta n * beta n) * pull K p D (col X n) (col Y n) j i = 0).
    { rewrite <- (sum_single N n (fun l => (alpha l * alpha l - beta l * beta l)
        * pull K p D (col X l) (col Y l) j i)); auto.
      - rewrite (sum_ext N _ (fun l =>
          pull K p D (col (scaled X alpha) l) (col (scaled Y alpha) l) j i
          - pull K p D (col (scaled X beta) l) (col (scaled Y beta) l) j i))
          by (intros; rewrite !scaled_pull; ring).
        rewrite sum_minus, SA, SB. ring.
      - intros l Hl E. rewrite Same by auto. ring. }
    apply Rmult_integral in Diff as [Diff|]; auto. nra.
  - elim Nz. now apply Z.
  - destruct (Off b Hb) as [i [Hi N']]. elim N'. apply (H i Hi).
Qed.
